"""JSON Web Tokens: whose they are, and what they say of rights."""

from __future__ import annotations

import logging
import math
import time
import warnings
from pathlib import Path
from typing import Any, Final, Protocol

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)
from jwt.warnings import InsecureKeyLengthWarning
from msgspec import UNSET, UnsetType

from bookcast.auth.jwks import Jwks
from bookcast.auth.keys import RightsFile
from bookcast.auth.principal import SCOPES, Grant, Principal, read_grant, resolve
from bookcast.errors import InvalidInput, SettingError
from bookcast.settings import MIN_SECRET_BYTES

logger = logging.getLogger(__name__)

MAX_TOKEN_LENGTH: Final = 16 * 1024

FOREIGN: Final = (
    "The token's {} has none of read, publish and admin, so it may be for another application; in "
    "production such a token counts only where AUTH_JWT_AUDIENCE (or AUTH_JWT_CLIENT_ID) is set"
)


class Keys(Protocol):
    """Knows the keys of some algorithms."""

    def find(self, key_id: str | None, algorithm: str) -> Any:
        """Give the key to check a token with.

        Raises:
            InvalidInput: when there is none.
        """


class OneKey:
    """The same key for every token."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def find(self, _key_id: str | None, _algorithm: str) -> Any:
        """Give the key."""
        return self._key


class Tokens:
    """Checks tokens.

    Args:
        keys: by algorithm. A token is only believed under the algorithm that its key is for.
        audience, issuer, client_id: what ``aud``, ``iss`` and ``client_id`` must be; None:
            anything.
        trusts_foreign: a scope claim that has none of our scopes counts as absent. Otherwise its
            token has no rights: it may be for another application of the same issuer.
        skew: seconds that the issuer's clock may differ from ours.
        rights: what principals may do where their token doesn't say it.
        default_market: of symbol patterns without one.
    """

    def __init__(
        self,
        keys: dict[str, Keys],
        *,
        audience: str | None,
        issuer: str | None,
        client_id: str | None = None,
        skew: float,
        rights: RightsFile,
        default_market: str,
        trusts_foreign: bool = True,
    ) -> None:
        self._keys = keys
        self._audience = audience
        self._issuer = issuer
        self._client_id = client_id
        self._skew = skew
        self._rights = rights
        self._default_market = default_market
        self._trusts_foreign = trusts_foreign

    def verify(self, token: str, *, max_seconds: float | None = None) -> Principal:
        """Give whose token it is; ``max_seconds``: it must expire within so long.

        Raises:
            InvalidInput: ``invalid_token``, ``token_expired``, ``keys_unavailable``.
            UnknownKey: when asking its issuer may help.
        """
        claims = self._claims(token)
        expires_at = _expiry(claims)
        if expires_at is not None and expires_at <= time.time():
            expires_at += self._skew  # in the issuer's time it hasn't expired, perhaps
        if max_seconds is not None and (
            expires_at is None or expires_at - time.time() > max_seconds + self._skew
        ):
            raise InvalidInput(
                "invalid_token",
                "A token in an address may end up in logs, so it has to expire within "
                f"AUTH_QUERY_TOKEN_SECONDS, {max_seconds:g}; others go into the Authorization "
                "header, a subprotocol or the first message",
            )
        name = claims["sub"]
        try:
            scope, refusal = _scope(claims, trusts_foreign=self._trusts_foreign)
            grants = [Grant(scope=scope), _granted(claims), *self._rights.grants(name)]
            rights = resolve(grants, "read", self._default_market, refusal)
        except InvalidInput as error:
            raise InvalidInput("invalid_token", f"The token's claims: {error.message}") from None
        # Where any issuer is believed, each has its own people.
        if self._issuer is None:
            name = "#".join(map(_escaped, (claims["iss"], name) if claims.get("iss") else (name,)))
        return Principal("jwt", name, rights, expires_at)

    def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_TOKEN_LENGTH:
            raise InvalidInput("invalid_token", "The token is too long")
        try:
            header = jwt.get_unverified_header(token)
            algorithm, key_id = header.get("alg", ""), header.get("kid")
            keys = self._keys.get(algorithm)
            if keys is None:
                raise InvalidInput(
                    "invalid_token",
                    f"The token is signed with {str(algorithm)[:20]!r}; "
                    f"accepted here: {', '.join(sorted(self._keys))}",
                )
            claims: dict[str, Any] = jwt.decode(
                token,
                keys.find(key_id, algorithm),
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._skew,
                options={
                    "require": ["sub"],
                    "verify_aud": self._audience is not None,
                    "verify_iss": self._issuer is not None,
                },
            )
        except jwt.ExpiredSignatureError:
            raise InvalidInput("token_expired", "The token has expired") from None
        except jwt.PyJWTError as error:
            said = str(error).encode("ascii", "backslashreplace").decode()
            if type(error) is jwt.DecodeError:  # in which the library speaks of bytes and padding
                said = "it is no signed JSON Web Token (JWT)"
            raise InvalidInput("invalid_token", f"The token isn't valid: {said}") from None
        except (ValueError, TypeError, OverflowError, AttributeError, RecursionError):
            raise InvalidInput("invalid_token", "The token isn't valid") from None
        for name in ("sub", "iss"):
            if not _is_text(claims.get(name, "none")):
                raise InvalidInput("invalid_token", f"The token's {name!r} is no text, or empty")
        if self._client_id is not None and claims.get("client_id") != self._client_id:
            raise InvalidInput(
                "invalid_token", "The token isn't valid: its client_id isn't AUTH_JWT_CLIENT_ID"
            )
        return claims


def _is_text(said: Any) -> bool:
    return isinstance(said, str) and said != "" and said.isprintable()


def _escaped(name: str) -> str:
    """Keep the sign between issuer and subject for that."""
    return name.replace("%", "%25").replace("#", "%23")


def _expiry(claims: dict[str, Any]) -> float | None:
    if claims.get("exp") is None:
        return None
    try:
        expires_at = float(claims["exp"])
    except (ValueError, TypeError, OverflowError):
        expires_at = math.inf
    if not math.isfinite(expires_at):
        raise InvalidInput("invalid_token", "The token's 'exp' is no time")
    return expires_at


def _scope(claims: dict[str, Any], *, trusts_foreign: bool) -> tuple[str | UnsetType, str]:
    """Return the scope that the token grants, and why it grants none where that needs a reason.

    ``scope`` is the standard claim (RFC 8693), ``scp`` the one of Entra and Okta. Providers fill
    both with scopes of their own (``openid profile``), which mean nothing here.
    """
    for name in ("scope", "scp"):
        said = claims.get(name, UNSET)
        if said is UNSET:
            continue
        if isinstance(said, list) and all(isinstance(one, str) for one in said):
            said = " ".join(said)
        if not isinstance(said, str):
            raise InvalidInput("invalid_data", f"{name} must be text, or a list of texts")
        words = said.split()
        if not words or SCOPES.intersection(words):
            return said, ""
        if not trusts_foreign:
            return "", FOREIGN.format(name)
    return UNSET, ""


def _granted(claims: dict[str, Any]) -> Grant:
    said = claims.get("bookcast", {})
    if isinstance(said, dict) and "scope" in said:
        raise InvalidInput("invalid_data", "scope is a claim of its own, beside bookcast")
    return read_grant(said, "bookcast")


def keys_of(
    *, secret: str | None, public_key_file: str | None, jwks: Jwks | None
) -> dict[str, Keys]:
    """Give the keys that settings name, by algorithm.

    Raises:
        SettingError: for a key that can't be read or is of another kind.
    """
    keys: dict[str, Keys] = {}
    if secret is not None:
        keys["HS256"] = OneKey(secret)
        if len(secret.encode()) < MIN_SECRET_BYTES:
            logger.warning(
                "AUTH_JWT_SECRET is shorter than %d bytes: whoever has one token can guess it; "
                "production refuses it",
                MIN_SECRET_BYTES,
            )
            # Said once, and not again with each token.
            warnings.simplefilter("ignore", InsecureKeyLengthWarning)
    if jwks is not None:
        keys["RS256"] = keys["ES256"] = jwks
    if public_key_file is not None:
        algorithm, key = _read_public_key(public_key_file)
        keys[algorithm] = OneKey(key)
    return keys


def _read_public_key(path: str) -> tuple[str, Any]:
    try:
        key = load_pem_public_key(Path(path).read_bytes())
    except OSError as error:
        raise SettingError(
            f"AUTH_JWT_PUBLIC_KEY_FILE is {path!r}, which can't be read: {error}"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise SettingError(
            f"AUTH_JWT_PUBLIC_KEY_FILE {path} holds no public key in PEM form that is understood"
        ) from None
    if isinstance(key, rsa.RSAPublicKey):
        return "RS256", key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return "ES256", key
    raise SettingError(
        f"AUTH_JWT_PUBLIC_KEY_FILE {path} holds another kind of key; RSA (RS256) and P-256 "
        "(ES256) are understood"
    )


def mint(
    claims: dict[str, Any], *, lifetime: float, secret: str | None, private_key_file: str | None
) -> str:
    """Make a token that begins now and lasts so many seconds.

    Raises:
        SettingError: when there is no key to sign it with.
    """
    now = int(time.time())
    claims = {"iat": now, "exp": now + round(lifetime), **claims}
    if private_key_file is not None:
        try:
            pem = Path(private_key_file).read_bytes()
            key = load_pem_private_key(pem, password=None)
        except (OSError, TypeError, ValueError, UnsupportedAlgorithm) as error:
            raise SettingError(f"--key-file {private_key_file} can't be used: {error}") from None
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        try:
            return jwt.encode(claims, pem, algorithm)
        except (jwt.PyJWTError, TypeError, ValueError) as error:
            raise SettingError(f"--key-file {private_key_file} can't be used: {error}") from None
    if secret is None:
        raise SettingError(
            "There is nothing to sign a token with; set AUTH_JWT_SECRET, or name a private key "
            "with --key-file"
        )
    keys_of(secret=secret, public_key_file=None, jwks=None)  # which warns of a short one
    return jwt.encode(claims, secret, "HS256")
