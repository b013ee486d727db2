"""JSON Web Tokens: their principal, and the rights that they grant."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from jwt.warnings import InsecureKeyLengthWarning
from msgspec import UNSET, UnsetType

from bookcast.auth.jwks import Jwks
from bookcast.auth.keys import RightsFile, read_secrets
from bookcast.auth.principal import SCOPES, Grant, Principal, Rights, read_grant, resolve
from bookcast.errors import InvalidInput, SettingError
from bookcast.settings.rules.authentication import MIN_SECRET_BYTES, is_short, too_short

logger = logging.getLogger(__name__)

MAX_TOKEN_LENGTH: Final = 16 * 1024

FOREIGN: Final = (
    "The token's {} has none of read, publish and admin, so it may be for another application; in "
    "production such a token counts only where AUTH_JWT_AUDIENCE (or AUTH_JWT_CLIENT_ID) is set"
)


class Keys(Protocol):
    """The keys of some algorithms."""

    def candidates(self, key_id: str | None, algorithm: str) -> Sequence[tuple[Any, str]]:
        """Return the keys that a token may be signed with, each with its fingerprint.

        Raises:
            InvalidInput: there is no such key.
        """


class OneKey:
    """The same key for every token; ``fingerprint`` identifies it."""

    def __init__(self, key: Any, fingerprint: str) -> None:
        self._key = key
        self.fingerprints = frozenset({fingerprint})

    def candidates(self, _key_id: str | None, _algorithm: str) -> Sequence[tuple[Any, str]]:
        """Return the key."""
        return [(self._key, next(iter(self.fingerprints)))]


class Secrets:
    """Secrets for HS256: ``by_kid``: those with an id; ``nameless``: the one without."""

    def __init__(self, by_kid: Mapping[str, str], nameless: str | None) -> None:
        self._by_kid = {kid: (secret, fingerprint(secret)) for kid, secret in by_kid.items()}
        self._nameless = [] if nameless is None else [(nameless, fingerprint(nameless))]
        every = [*self._nameless, *self._by_kid.values()]
        self.fingerprints = frozenset(print_ for _, print_ in every)

    def candidates(self, key_id: str | None, _algorithm: str) -> Sequence[tuple[Any, str]]:
        """Return the secret that a token names; all secrets if it names none.

        Raises:
            InvalidInput: there is no secret of that name.
        """
        if key_id is None:
            return [*self._nameless, *self._by_kid.values()]
        named = self._by_kid.get(key_id)
        found = self._nameless if named is None else [named]
        if not found:
            raise InvalidInput(
                "invalid_token", "The token is signed with a secret that isn't known here"
            )
        return found


def fingerprint(secret: str | bytes) -> str:
    """Return a hash that identifies a secret without revealing it."""
    return hashlib.sha256(secret.encode() if isinstance(secret, str) else secret).hexdigest()


class Tokens:
    """Verifies tokens.

    Args:
        keys: by algorithm. A token counts only under the algorithm that its key is for.
        audience, issuer, client_id: what ``aud``, ``iss`` and ``client_id`` must be; None:
            anything.
        trusts_foreign: a scope claim without any scope of bookcast counts as absent. If False, a
            token with such a claim has no rights: it may be for another application of the issuer.
        skew: seconds that the issuer's clock may differ from this server's.
        rights: rights of principals, where their token leaves them open.
        default_market: the market of symbol patterns without one.
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
        self._fingerprints = frozenset(
            print_
            for one in keys.values()
            if isinstance(one, OneKey | Secrets)
            for print_ in one.fingerprints
        )
        self._audience = audience
        self._issuer = issuer
        self._client_id = client_id
        self._skew = skew
        self._rights = rights
        self._default_market = default_market
        self._trusts_foreign = trusts_foreign

    def verify(self, token: str, *, max_seconds: float | None = None) -> Principal:
        """Return the principal of a token. ``max_seconds``: the token must expire within this time.

        Raises:
            InvalidInput: ``invalid_token``, ``token_expired``, ``keys_unavailable``.
            UnknownKey: fetching the issuer's keys again may help.
        """
        claims, key = self._claims(token)
        expires_at = _expiry(claims)
        if expires_at is not None and expires_at <= time.time():
            expires_at += self._skew  # by the issuer's clock it may not have expired yet
        if max_seconds is not None and (
            expires_at is None or expires_at - time.time() > max_seconds + self._skew
        ):
            raise InvalidInput(
                "invalid_token",
                "A token in an address may end up in logs, so it has to expire within "
                f"AUTH_QUERY_TOKEN_SECONDS, {max_seconds:g}; others go into the Authorization "
                "header, a subprotocol or the first message",
            )
        name = subject = claims["sub"]
        try:
            granted, refusal = _granted(claims, trusts_foreign=self._trusts_foreign)
            rights = self._resolved(subject, granted, refusal)
        except InvalidInput as error:
            raise InvalidInput("invalid_token", f"The token's claims: {error.message}") from None
        # If any issuer is accepted, the same name of two issuers means two principals.
        if self._issuer is None:
            name = "#".join(map(_escaped, (claims["iss"], name) if claims.get("iss") else (name,)))
        return Principal("jwt", name, rights, expires_at, key, subject, granted)

    def renewed(self, principal: Principal) -> Principal | None:
        """Return a principal with its present rights; None: its key is no longer valid."""
        if principal.key and principal.key not in self._fingerprints:
            return None
        rights = self._resolved(principal.subject, principal.granted, principal.rights.refusal)
        return msgspec.structs.replace(principal, rights=rights)

    def _resolved(self, subject: str, granted: Sequence[Grant], refusal: str) -> Rights:
        grants = [*granted, *self._rights.grants(subject)]
        return resolve(grants, "read", self._default_market, refusal)

    def _claims(self, token: str) -> tuple[dict[str, Any], str]:
        """Return a token's claims, and the fingerprint of the key that it is signed with."""
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
            *others, last = keys.candidates(key_id, algorithm)
            for key, print_ in others:
                with contextlib.suppress(jwt.InvalidSignatureError):
                    return self._checked(token, key, algorithm), print_
            key, print_ = last
            return self._checked(token, key, algorithm), print_
        except jwt.ExpiredSignatureError:
            raise InvalidInput("token_expired", "The token has expired") from None
        except jwt.PyJWTError as error:
            said = str(error).encode("ascii", "backslashreplace").decode()
            if type(error) is jwt.DecodeError:  # the library's message is about bytes and padding
                said = "it is no signed JSON Web Token (JWT)"
            raise InvalidInput("invalid_token", f"The token isn't valid: {said}") from None
        except (ValueError, TypeError, OverflowError, AttributeError, RecursionError):
            raise InvalidInput("invalid_token", "The token isn't valid") from None

    def _checked(self, token: str, key: Any, algorithm: str) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
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
    """Escape the character that separates issuer and subject."""
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
    """Return the scope that a token grants, and why it grants none, if that needs a message.

    ``scope`` is the standard claim (RFC 8693), ``scp`` that of Entra and Okta. Providers put scopes
    of their own in both (``openid profile``), which mean nothing to bookcast.
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


def _granted(claims: dict[str, Any], *, trusts_foreign: bool) -> tuple[tuple[Grant, ...], str]:
    """Return what a token grants, and why its scope grants nothing, if that needs a message."""
    scope, refusal = _scope(claims, trusts_foreign=trusts_foreign)
    said = claims.get("bookcast", {})
    if isinstance(said, dict) and "scope" in said:
        raise InvalidInput("invalid_data", "scope is a claim of its own, beside bookcast")
    return (Grant(scope=scope), read_grant(said, "bookcast")), refusal


def keys_of(
    *,
    secret: str | None,
    public_key_file: str | None,
    jwks: Jwks | None,
    secrets_file: str | None = None,
    strict: bool = False,
) -> dict[str, Keys]:
    """Return the keys that the settings name, by algorithm; ``strict`` refuses short secrets.

    Raises:
        SettingError: a key can't be read, or is of another kind.
    """
    keys: dict[str, Keys] = {}
    by_kid = read_secrets(secrets_file) if secrets_file is not None else {}
    if secret is not None or by_kid:
        keys["HS256"] = Secrets(by_kid, secret)
        given = {"AUTH_JWT_SECRET": secret or "", **by_kid} if secret is not None else by_kid
        for name, one in given.items():
            _warn_of_short(name, one, strict=strict)
    if jwks is not None:
        keys["RS256"] = keys["ES256"] = jwks
    if public_key_file is not None:
        algorithm, key = _read_public_key(public_key_file)
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        keys[algorithm] = OneKey(key, fingerprint(der))
    return keys


def _warn_of_short(name: str, secret: str, *, strict: bool = False) -> None:
    if not is_short(secret):
        return
    name = name if name == "AUTH_JWT_SECRET" else f"AUTH_JWT_SECRETS_FILE: secrets.{name}"
    if strict:
        raise SettingError(too_short(name))
    logger.warning(
        "%s is shorter than %d bytes: whoever has one token can guess it; production refuses it",
        name,
        MIN_SECRET_BYTES,
    )
    # This warning is enough: the library would repeat it with each token.
    warnings.simplefilter("ignore", InsecureKeyLengthWarning)


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
    claims: dict[str, Any],
    *,
    lifetime: float,
    secret: str | None,
    private_key_file: str | None,
    secrets_file: str | None = None,
) -> str:
    """Return a new token that is valid from now on for ``lifetime`` seconds.

    Of several secrets, the last one in the file signs it: a new secret is appended there.

    Raises:
        SettingError: there is no key to sign it with.
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
    headers = None
    if secret is None and secrets_file is not None:
        kid, secret = list(read_secrets(secrets_file).items())[-1]
        headers = {"kid": kid}
    if secret is None:
        raise SettingError(
            "There is nothing to sign a token with; set AUTH_JWT_SECRET or AUTH_JWT_SECRETS_FILE, "
            "or name a private key with --key-file"
        )
    _warn_of_short("AUTH_JWT_SECRET", secret)
    return jwt.encode(claims, secret, "HS256", headers)
