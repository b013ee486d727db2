"""Keys, tokens and requests of those who want in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from bookcast.auth.gate import AuthRequest, Gate
from bookcast.auth.keys import RightsFile
from bookcast.auth.tokens import Keys, Tokens, keys_of
from bookcast.errors import ERRORS, InvalidInput
from bookcast.limits import Refusals
from bookcast.settings import from_keywords

SECRET = "a secret of more than thirty-two bytes"

CLIENT, PROXY = "198.51.100.7", "10.0.0.1"


@cache
def rsa_key(_name: str = "one") -> rsa.RSAPrivateKey:
    """Give the same key for the same name."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def ec_key(_name: str = "one") -> ec.EllipticCurvePrivateKey:
    """Give the same key for the same name."""
    return ec.generate_private_key(ec.SECP256R1())


def public_pem(key: Any) -> bytes:
    """Write the public half of a key as PEM."""
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def jwk(key: Any, key_id: str | None, **more: Any) -> dict[str, Any]:
    """Write the public half of a key as a JWK."""
    kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    written: dict[str, Any] = kind.to_jwk(key.public_key(), as_dict=True)
    return {**written, **({} if key_id is None else {"kid": key_id}), **more}


def sign(
    claims: Mapping[str, Any] | None = None,
    *,
    key: Any = SECRET,
    algorithm: str = "HS256",
    key_id: str | None = None,
    **more: Any,
) -> str:
    """Make the token of Alice, or of somebody else."""
    said = {"sub": "alice", "exp": int(time.time()) + 120, **(claims or {}), **more}
    headers = None if key_id is None else {"kid": key_id}
    return jwt.encode(
        {name: value for name, value in said.items() if value is not ...}, key, algorithm, headers
    )


def coded(part: bytes) -> str:
    """Write bytes as base64url without padding."""
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def sign_by_hand(header: Any, claims: Any, secret: bytes = SECRET.encode()) -> str:
    """Make a token that no library would make."""
    body = f"{coded(json.dumps(header).encode())}.{coded(json.dumps(claims).encode())}"
    return f"{body}.{coded(hmac.new(secret, body.encode(), hashlib.sha256).digest())}"


def tokens(
    keys: dict[str, Keys] | None = None, *, rights: RightsFile | None = None, **options: Any
) -> Tokens:
    """Make what checks tokens; those signed with the secret, when nothing else is said."""
    return Tokens(
        keys or keys_of(secret=SECRET, public_key_file=None, jwks=None),
        rights=rights or RightsFile(),
        **{"audience": None, "issuer": None, "skew": 10.0, "default_market": "US", **options},
    )


def refusal(function: Callable[..., object], *arguments: Any, **options: Any) -> InvalidInput:
    """Give what a call is refused with, which must be something that can be told."""
    with pytest.raises(InvalidInput) as caught:
        function(*arguments, **options)
    return told(caught.value)


def told(error: InvalidInput) -> InvalidInput:
    """Give a refusal that has a known code, and a message that can be sent."""
    assert error.code in ERRORS
    assert error.message.encode()
    return error


def auth_request(
    peer: str = CLIENT,
    headers: Mapping[str, str | Sequence[str]] | None = None,
    *,
    offered: Sequence[str] = (),
    page: bool = True,
    query: Mapping[str, str] | None = None,
) -> AuthRequest:
    """Knock with these headers, one or several of a name, and this query."""
    said = {
        name.lower(): [values] if isinstance(values, str) else list(values)
        for name, values in {"Host": "stream.example.com", **(headers or {})}.items()
    }
    return AuthRequest(
        peer,
        lambda name: said.get(name.lower(), []),
        {name: [value] for name, value in (query or {}).items()},
        offered,
        page,
    )


def gate(refusals: Refusals | None = None, **settings: Any) -> Gate:
    """Make the gate of a server in production that believes tokens signed with the secret."""
    given = {"environment": "production", "auth_mode": "jwt", "max_connections_per_address": 0}
    if settings.get("auth_mode", "jwt") == "jwt" and "auth_jwks_url" not in settings:
        given["auth_jwt_secret"] = SECRET
    return Gate.of(from_keywords(**{**given, **settings}), refusals or Refusals())
