import base64
import json
import logging
import math
import time
import warnings
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import example, given
from hypothesis import strategies as st

from bookcast.auth.jwks import Jwks
from bookcast.auth.keys import RightsFile
from bookcast.auth.principal import Grant
from bookcast.auth.tokens import MAX_TOKEN_LENGTH, OneKey, Tokens, keys_of, mint
from bookcast.errors import InvalidInput, SettingError
from tests.auth.keyring import (
    SECRET,
    coded,
    ec_key,
    jwk,
    public_pem,
    refusal,
    rsa_key,
    sign,
    sign_by_hand,
    tokens,
    told,
)
from tests.support import AAPL


def tokens_of_pem(folder: Path, key: Any, secret: str | None = None) -> Tokens:
    path = folder / "public.pem"
    path.write_bytes(public_pem(key))
    return tokens(keys_of(secret=secret, public_key_file=str(path), jwks=None))


# The principal


def test_a_token_signed_with_the_secret_is_believed() -> None:
    """It names its principal and its expiry; nothing else is required."""
    until = int(time.time()) + 120
    principal = tokens().verify(sign(exp=until))
    assert (principal.id, principal.expires_at) == ("jwt:alice", until)
    assert principal.rights.scopes == {"read"}


@pytest.mark.parametrize(("key", "algorithm"), [(rsa_key(), "RS256"), (ec_key(), "ES256")])
def test_a_token_signed_with_a_private_key_is_believed(
    tmp_path: Path, key: Any, algorithm: str
) -> None:
    """When the file holds its public half; others' keys aren't."""
    checks = tokens_of_pem(tmp_path, key)
    assert checks.verify(sign(key=key, algorithm=algorithm)).name == "alice"
    other = rsa_key("other") if algorithm == "RS256" else ec_key("other")
    assert refusal(checks.verify, sign(key=other, algorithm=algorithm)).code == "invalid_token"


@pytest.mark.parametrize(
    "token",
    ["", "opaque", "a.b.c", "abc.def.ghi", "a.b.c.d.e", "Bearer a.b.c", f"{sign()}.%%%"],
)
def test_what_is_no_token_at_all_is_told_in_plain_words(token: str) -> None:
    """Such as the opaque or encrypted access tokens that some providers give by default."""
    said = refusal(tokens().verify, token)
    assert (said.code, said.message) == (
        "invalid_token",
        "The token isn't valid: it is no signed JSON Web Token (JWT)",
    )


def test_secret_and_public_key_count_each_under_their_algorithm(tmp_path: Path) -> None:
    """While one replaces the other."""
    checks = tokens_of_pem(tmp_path, rsa_key(), SECRET)
    assert checks.verify(sign()).name == "alice"
    assert checks.verify(sign(key=rsa_key(), algorithm="RS256")).name == "alice"


def test_a_token_may_hold_for_good() -> None:
    """If its issuer means it."""
    assert tokens().verify(sign(exp=...)).expires_at is None


@pytest.mark.parametrize(
    ("wanted", "said", "taken"),
    [
        (None, ..., True),
        (None, "others", True),
        ("bookcast", "bookcast", True),
        ("bookcast", ["others", "bookcast"], True),
        ("bookcast", ..., False),
        ("bookcast", "others", False),
        ("bookcast", ["others"], False),
        ("bookcast", [], False),
        ("bookcast", "bookcast2", False),
        ("bookcast", {"bookcast": 1}, False),
        ("bookcast", None, False),
    ],
)
def test_a_token_is_for_its_audience(wanted: str | None, said: Any, taken: bool) -> None:
    """When one is asked for, it must be it or among several."""
    checks, token = tokens(audience=wanted), sign(aud=said)
    if taken:
        assert checks.verify(token).name == "alice"
    else:
        assert refusal(checks.verify, token).code == "invalid_token"


@pytest.mark.parametrize(
    ("wanted", "said", "taken"),
    [
        (None, ..., True),
        (None, "https://a", True),
        ("https://a", "https://a", True),
        ("https://a", "https://a/", False),
        ("https://a", "https://", False),
        ("https://a", ..., False),
    ],
)
def test_a_token_is_from_its_issuer(wanted: str | None, said: Any, taken: bool) -> None:
    """When one is asked for, letter by letter."""
    checks, token = tokens(issuer=wanted), sign(iss=said)
    if taken:
        assert checks.verify(token).name.endswith("alice")
    else:
        assert refusal(checks.verify, token).code == "invalid_token"


@pytest.mark.parametrize("said", [["https://a"], {"https://a": 1}, None, 7])
def test_an_issuer_is_text(said: Any) -> None:
    """A list that contains the right one isn't it."""
    token = sign_by_hand({"alg": "HS256"}, {"sub": "alice", "iss": said})
    assert refusal(tokens(issuer="https://a").verify, token).code == "invalid_token"


@pytest.mark.parametrize("subject", [..., None, "", 7, ["alice"], {"a": 1}, True])
def test_a_token_says_whose_it_is(subject: Any) -> None:
    """In a text with something in it."""
    claims = {} if subject is ... else {"sub": subject}
    error = refusal(tokens().verify, sign_by_hand({"alg": "HS256"}, claims))
    assert error.code == "invalid_token"


# The time of validity


def test_an_expired_token_has_a_code_of_its_own() -> None:
    """Its client knows that a new one is all it needs."""
    error = refusal(tokens(skew=60.0).verify, sign(exp=int(time.time()) - 90))
    assert error.code == "token_expired"


def test_the_issuers_clock_may_be_wrong_a_little() -> None:
    """A token just expired holds a little longer, and one may begin a little later."""
    now = int(time.time())
    checks = tokens(skew=60.0)
    until = checks.verify(sign(exp=now - 20)).expires_at
    assert until == now + 40
    checks.verify(sign(nbf=now + 30, iat=now + 30))
    for claim in ("nbf", "iat"):
        assert refusal(checks.verify, sign({claim: now + 120})).code == "invalid_token"


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "said",
    ["soon", None, [], {}, "1e9", math.nan, math.inf, -math.inf, "9" * 400, 10**400, -(10**400)],
    ids=lambda said: repr(said)[:8],
)
def test_no_time_is_so_strange_that_it_fails(claim: str, said: Any) -> None:
    """A token ends at a time that can be waited for, or never, or is refused."""
    token = sign_by_hand({"alg": "HS256"}, {"sub": "alice", claim: said})
    try:
        until = tokens().verify(token).expires_at
    except InvalidInput as error:
        told(error)
    else:
        assert until is None or math.isfinite(until)


@pytest.mark.parametrize(
    ("lifetime", "taken"), [(100, True), (299, True), (400, False), (86_400, False), (..., False)]
)
def test_a_token_in_an_address_must_expire_soon(lifetime: Any, taken: bool) -> None:
    """Since addresses end up in logs."""
    token = sign(exp=... if lifetime is ... else int(time.time()) + lifetime)
    if taken:
        assert tokens().verify(token, max_seconds=300).name == "alice"
    else:
        error = refusal(tokens().verify, token, max_seconds=300)
        assert error.code == "invalid_token"
        assert "AUTH_QUERY_TOKEN_SECONDS" in error.message


# Forgeries


def test_the_public_key_is_no_secret(tmp_path: Path) -> None:
    """A token signed with its text, as if that were a shared secret, is refused."""
    for key in (rsa_key(), ec_key()):
        pem = public_pem(key)
        for secret in (None, SECRET):
            checks = tokens_of_pem(tmp_path, key, secret)
            for spelling in (pem, pem.strip(), pem.replace(b"\n", b"\r\n")):
                forged = sign_by_hand({"alg": "HS256"}, {"sub": "alice"}, spelling)
                assert refusal(checks.verify, forged).code == "invalid_token"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", " ", "hs256", "HS256 "])
def test_a_token_has_an_algorithm_and_a_signature(algorithm: str) -> None:
    """No spelling of none is one."""
    claims = {"sub": "alice"}
    by_hand = sign_by_hand({"alg": algorithm}, claims)
    for forged in (by_hand, by_hand.rpartition(".")[0] + ".", by_hand.rpartition(".")[0]):
        assert refusal(tokens().verify, forged).code == "invalid_token"


def test_a_signature_is_needed_under_the_right_algorithm_too() -> None:
    """None, half of one, or another token's."""
    body, _, signature = sign().rpartition(".")
    other = sign(sub="bob").rpartition(".")[2]
    for forged in ("", signature[:-8], signature + "AAAA", other, "A" * len(signature)):
        assert refusal(tokens().verify, f"{body}.{forged}").code == "invalid_token"


@pytest.mark.parametrize(
    "algorithm", [None, [], ["HS256"], {"HS256": 1}, 256, True, "HS384", "PS256", "x" * 500]
)
def test_another_algorithm_is_refused(algorithm: Any) -> None:
    """Whatever it is, and those that there are named."""
    error = refusal(tokens().verify, sign_by_hand({"alg": algorithm}, {"sub": "alice"}))
    assert error.code == "invalid_token"
    assert len(error.message) < 300


def test_a_token_without_an_algorithm_is_refused() -> None:
    """None is guessed."""
    assert refusal(tokens().verify, sign_by_hand({}, {"sub": "alice"})).code == "invalid_token"


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (rsa_key(), "RS256"),
        (rsa_key(), "PS256"),
        (ec_key(), "ES256"),
        (SECRET * 2, "HS384"),
        (SECRET * 2, "HS512"),
    ],
)
def test_a_secret_is_for_one_algorithm(key: Any, algorithm: str) -> None:
    """Where only a secret is known, nothing else is accepted, and the token learns so."""
    error = refusal(tokens().verify, sign(key=key, algorithm=algorithm))
    assert error.code == "invalid_token"
    assert "accepted here: HS256" in error.message


def test_a_key_is_for_its_own_algorithm(tmp_path: Path) -> None:
    """An RSA key for RS256, and neither with another hash or padding nor as a curve."""
    checks = tokens_of_pem(tmp_path, rsa_key())
    for algorithm in ("RS384", "RS512", "PS256"):
        forged = sign(key=rsa_key(), algorithm=algorithm)
        assert refusal(checks.verify, forged).code == "invalid_token"
    assert "RS256" in refusal(checks.verify, sign(key=ec_key(), algorithm="ES256")).message


def test_a_token_brings_no_key_of_its_own(tmp_path: Path) -> None:
    """Whatever its header says of keys and where they are."""
    mine = rsa_key("mine")
    checks = tokens_of_pem(tmp_path, rsa_key())
    for header in (
        {"jwk": jwk(mine, "mine"), "kid": "mine"},
        {"jku": "https://evil.example/keys", "kid": "mine"},
        {"x5u": "https://evil.example/keys", "x5c": ["AAAA"]},
    ):
        forged = jwt.encode({"sub": "alice"}, mine, "RS256", header)
        assert refusal(checks.verify, forged).code == "invalid_token"


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"crit": "b64"},
        {"crit": ["\ud800"]},
        {"b64": False, "crit": ["b64"]},
        {"b64": False},
        {"kid": 7},
        {"kid": None},
        {"kid": ["a"]},
    ],
)
def test_a_header_that_isnt_understood_is_refused(header: dict[str, Any]) -> None:
    """The refusal is fit for a client, though the sender chose some of its words."""
    token = sign_by_hand({"alg": "HS256", **header}, {"sub": "alice"})
    assert refusal(tokens().verify, token).code == "invalid_token"


def test_a_token_has_a_length() -> None:
    """What is longer isn't even looked at."""
    long = sign(padding="x" * MAX_TOKEN_LENGTH)
    assert "too long" in refusal(tokens().verify, long).message
    assert tokens().verify(sign(padding="x" * (MAX_TOKEN_LENGTH // 2))).name == "alice"


@given(
    st.text(st.characters())
    | st.text("abcXYZ019-_.=", max_size=40)
    | st.lists(st.binary().map(coded), max_size=6).map(".".join)
)
@example("\ud800")
@example("..")
@example(f"{coded(b'[' * 5000)}.e30.")
@example(f"{coded(b'null')}.e30.")
@example(f"{coded(bytes([255]))}.e30.")
def test_no_garbage_is_a_token(text: str) -> None:
    """It is refused with a message that is fit for a client."""
    assert refusal(tokens().verify, text).code == "invalid_token"


WORDS = st.text(st.characters()) | st.sampled_from(["read", "admin", "US.*", "trades", "\ud800"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
FIELD_NAMES = WORDS | st.sampled_from(
    ["symbols", "channels", "max_depth", "min_interval_ms", "max_subscriptions", "scope"]
)
CLAIMS = st.fixed_dictionaries(
    {"sub": st.just("alice") | JSON},
    optional={
        **dict.fromkeys(("exp", "nbf", "iat", "jti", "aud", "iss", "scope", "scp"), JSON),
        "bookcast": JSON | st.dictionaries(FIELD_NAMES, JSON, max_size=3),
    },
)


@given(st.dictionaries(st.sampled_from(["kid", "crit", "b64", "typ", "cty"]), JSON), CLAIMS | JSON)
@example({}, {"sub": "alice", "bookcast": {"\ud800": 1}})
@example({}, {"sub": "alice", "bookcast": {"channels": ["\ud800"]}})
@example({}, {"sub": "alice", "exp": 10**400})
def test_whatever_an_issuer_signs_is_understood_or_refused(header: Any, claims: Any) -> None:
    """No other outcome is possible, for a mistake as for an attack."""
    token = sign_by_hand({**header, "alg": "HS256"}, claims)
    try:
        principal = tokens().verify(token)
    except InvalidInput as error:
        told(error)
    else:
        assert principal.id.encode()
        assert principal.rights.scopes <= {"read", "publish", "admin"}


# Two of one name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a#b", "c"), ("a", "b#c")),
        ((None, "a#b"), ("a", "b")),
        ((None, "a%23b"), (None, "a#b")),
        (("a", "b"), ("b", "a")),
        ((None, "a"), ("a", "a")),
        (("a%23b", "c"), ("a#b", "c")),
    ],
)
def test_where_any_issuer_is_believed_each_has_its_own_people(one: Any, other: Any) -> None:
    """No user becomes another issuer's user by choosing a clever name."""
    ids = {
        tokens().verify(sign(sub=subject, iss=issuer if issuer is not None else ...)).id
        for issuer, subject in (one, other)
    }
    assert len(ids) == 2


NAMED = st.text("ab#:%\\\"'[]", min_size=1, max_size=5)


@given(st.none() | NAMED, NAMED, st.none() | NAMED, NAMED)
def test_issuer_and_subject_make_one_id(
    issuer: str | None, subject: str, issuer_2: str | None, subject_2: str
) -> None:
    """The same for the same two, another for any others."""
    ids = [
        tokens().verify(sign(sub=sub, iss=... if iss is None else iss)).id
        for iss, sub in ((issuer, subject), (issuer_2, subject_2))
    ]
    assert (ids[0] == ids[1]) is ((issuer, subject) == (issuer_2, subject_2))


def test_an_issuer_that_is_no_text_doesnt_pass_for_one_that_is() -> None:
    """A list isn't what it looks like written out."""
    text = tokens().verify(sign(iss="['a']")).id
    token = sign_by_hand({"alg": "HS256"}, {"sub": "alice", "iss": ["a"]})
    try:
        assert tokens().verify(token).id != text
    except InvalidInput as error:
        assert error.code == "invalid_token"


def test_where_one_issuer_is_believed_it_goes_without_saying() -> None:
    """Its people are called what it calls them."""
    assert tokens(issuer="https://a").verify(sign(iss="https://a")).id == "jwt:alice"


# Rights


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({}, {"read"}),
        ({"scope": "read"}, {"read"}),
        ({"scope": "openid read  publish"}, {"read", "publish"}),
        ({"scope": ["read", "admin"]}, {"read", "admin"}),
        ({"scope": ""}, set()),
        ({"scope": "  "}, set()),
        ({"scope": []}, set()),
        ({"scp": "publish"}, {"publish"}),
        ({"scp": ["openid", "read", "admin"]}, {"read", "admin"}),
        ({"scp": ""}, set()),
        ({"scp": []}, set()),
        ({"scope": "read", "scp": "publish"}, {"read"}),
        ({"scope": "", "scp": "publish"}, set()),
    ],
)
@pytest.mark.parametrize("trusts_foreign", [True, False])
def test_the_scope_says_what_for(
    claims: dict[str, Any], scopes: set[str], trusts_foreign: bool
) -> None:
    """In one text or a list, in the claim scope or else scp; an empty one gives no rights."""
    checks = tokens(trusts_foreign=trusts_foreign)
    assert checks.verify(sign(claims)).rights.scopes == scopes


FOREIGN = [
    {"scope": "openid profile email"},
    {"scope": ["openid", "offline_access"]},
    {"scope": "readpublish"},
    {"scope": "Read"},
    {"scope": "aws.cognito.signin.user.admin phone"},
    {"scope": "bookcast/read"},
    {"scp": "access_as_user"},
    {"scp": ["User.Read", "profile"]},
    {"scope": "openid", "scp": "profile"},
]


@pytest.mark.parametrize("claims", FOREIGN)
def test_scopes_of_others_count_as_none_given(claims: dict[str, Any]) -> None:
    """Providers fill the claim with their own; the file of rights says more."""
    assert tokens().verify(sign(claims)).rights.scopes == {"read"}
    rights = RightsFile(Grant(), {"alice": Grant(scope="read publish")})
    assert tokens(rights=rights).verify(sign(claims)).rights.scopes == {"read", "publish"}
    shown = sign(claims, bookcast={"symbols": ["HK.*"]})
    assert tokens().verify(shown).rights.symbols == ("HK.*",)


def test_a_foreign_scope_leaves_the_word_to_the_other_claim() -> None:
    """It counts as absent, so that scp is looked at."""
    claims = {"scope": "openid profile", "scp": ["publish"]}
    assert tokens().verify(sign(claims)).rights.scopes == {"publish"}


@pytest.mark.parametrize("claims", FOREIGN)
def test_a_token_of_another_application_may_do_nothing(claims: dict[str, Any]) -> None:
    """Where nothing else says whom it is for; the refusal names the setting that would."""
    rights = RightsFile(Grant(scope="read"), {"alice": Grant(scope="read publish")})
    principal = tokens(rights=rights, trusts_foreign=False).verify(sign(claims))
    assert principal.rights.scopes == set()
    for scope in ("read", "publish", "admin"):
        error = refusal(principal.rights.check, scope, AAPL)
        assert error.code == "forbidden"
        assert "AUTH_JWT_AUDIENCE" in error.message
        assert "read, publish and admin" in error.message


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("app-1", True),
        ("app-2", False),
        (..., False),
        ("", False),
        (["app-1"], False),
        ({"app-1": 1}, False),
        (None, False),
    ],
)
def test_a_token_is_made_for_a_client(said: Any, taken: bool) -> None:
    """When one is asked for, letter by letter; besides the audience, if both are."""
    checks, token = tokens(client_id="app-1"), sign(client_id=said)
    if taken:
        assert checks.verify(token).name == "alice"
    else:
        error = refusal(checks.verify, token)
        assert (error.code, "AUTH_JWT_CLIENT_ID" in error.message) == ("invalid_token", True)
    both = tokens(client_id="app-1", audience="bookcast")
    assert refusal(both.verify, token).code == "invalid_token"
    assert refusal(both.verify, sign(aud="bookcast", client_id="app-2")).code == "invalid_token"
    assert both.verify(sign(aud="bookcast", client_id="app-1")).name == "alice"


@pytest.mark.parametrize("said", [{"x": " admin "}, 7, True, [["x", " admin "]], [7]])
def test_a_scope_in_another_form_gives_no_right(said: Any) -> None:
    """Nothing is read into it."""
    try:
        assert tokens().verify(sign(scope=said)).rights.scopes == set()
    except InvalidInput as error:
        assert error.code == "invalid_token"


def test_the_claim_says_how_much() -> None:
    """Symbols, channels, depth, intervals, subscriptions."""
    said = {
        "symbols": ["HK.*", "AAPL"],
        "channels": ["trades", "quote"],
        "max_depth": 5,
        "min_interval_ms": 100,
        "max_subscriptions": 3,
    }
    rights = tokens(default_market="SG").verify(sign(bookcast=said)).rights
    assert rights.symbols == ("HK.*", "SG.AAPL")
    assert rights.channels == frozenset({"trades", "quote"})
    assert (rights.max_depth, rights.min_interval_ms, rights.max_subscriptions) == (5, 100, 3)


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"symbol": ["US.*"]}, "symbol"),
        ({"symbols": "US.*"}, "symbols"),
        ({"channels": ["books"]}, "channels"),
        ({"max_depth": 0}, "max_depth"),
        ({"scope": "read"}, "scope"),
        ([], "bookcast"),
        (None, "bookcast"),
        ("read", "bookcast"),
    ],
)
def test_a_claim_that_cant_be_meant_is_refused(said: Any, word: str) -> None:
    """A restriction that is misspelled, or stands in the wrong place, must not be none at all."""
    error = refusal(tokens().verify, sign(bookcast=said))
    assert error.code == "invalid_token"
    assert word in error.message


def test_claims_come_before_the_file_and_that_before_its_default() -> None:
    """For each field on its own."""
    file = RightsFile(
        Grant(scope="read publish", max_depth=10, min_interval_ms=100, max_subscriptions=5),
        {"alice": Grant(max_depth=20, min_interval_ms=200)},
    )
    checks = tokens(rights=file)
    rights = checks.verify(sign(bookcast={"max_depth": 30})).rights
    assert rights.scopes == {"read", "publish"}
    assert (rights.max_depth, rights.min_interval_ms, rights.max_subscriptions) == (30, 200, 5)
    assert checks.verify(sign(scope="read")).rights.scopes == {"read"}
    assert checks.verify(sign(sub="bob")).rights.max_depth == 10
    unlimited = checks.verify(sign(bookcast={"max_subscriptions": None})).rights
    assert (unlimited.max_depth, unlimited.max_subscriptions) == (20, None)


# The keys


def pem_of(key: Any) -> bytes:
    pem: bytes = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def unknown_curve() -> bytes:
    """Return a key on a curve that no library knows."""
    der = ec_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    known, unknown = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d030106")
    text = base64.encodebytes(der.replace(known, unknown))
    return b"-----BEGIN PUBLIC KEY-----\n" + text + b"-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "can't be read"),
        (b"", "no public key"),
        (b"garbage", "no public key"),
        (
            rsa_key().private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
            "no public key",
        ),
        (pem_of(ec.generate_private_key(ec.SECP384R1()).public_key()), "another kind of key"),
        (pem_of(ed25519.Ed25519PrivateKey.generate().public_key()), "another kind of key"),
        (unknown_curve(), "AUTH_JWT_PUBLIC_KEY_FILE"),
    ],
    ids=["no file", "nothing", "garbage", "private", "P-384", "Ed25519", "unknown curve"],
)
def test_a_key_that_cant_be_used_is_found_at_the_start(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    """Naming the setting and the file."""
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingError) as refused:
        keys_of(secret=None, public_key_file=str(path), jwks=None)
    assert "AUTH_JWT_PUBLIC_KEY_FILE" in str(refused.value)
    assert "key.pem" in str(refused.value)
    assert words in str(refused.value)


def test_a_short_secret_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """At the start, and not with each token."""
    short = "short"
    with warnings.catch_warnings():
        with caplog.at_level(logging.WARNING):
            checks = tokens(keys_of(secret=short, public_key_file=None, jwks=None))
        assert "AUTH_JWT_SECRET" in caplog.text
        assert short not in caplog.text.replace("shorter", "")
        token = sign_by_hand({"alg": "HS256"}, {"sub": "alice"}, short.encode())
        assert checks.verify(token).name == "alice"


def test_published_keys_are_for_both_algorithms() -> None:
    """Those that stand in a set say which one themselves."""
    jwks = Jwks("http://localhost/keys", fetch=dict)
    assert keys_of(secret=None, public_key_file=None, jwks=jwks) == {"RS256": jwks, "ES256": jwks}
    assert keys_of(secret=None, public_key_file=None, jwks=None) == {}


def test_one_key_is_for_every_token() -> None:
    """Whatever key they name."""
    assert OneKey(SECRET, "f").candidates("any", "HS256") == [(SECRET, "f")]
    assert tokens().verify(sign(key_id="any")).name == "alice"


NEW, OLD = (
    "a new secret of more than thirty-two bytes",
    "an old secret of more than thirty-two bytes",
)


def several(tmp_path: Path, *, nameless: str | None = None, **secrets: str) -> Tokens:
    path = tmp_path / "secrets.toml"
    path.write_text("[secrets]\n" + "".join(f'{kid} = "{one}"\n' for kid, one in secrets.items()))
    return tokens(keys_of(secret=nameless, public_key_file=None, jwks=None, secrets_file=str(path)))


def test_of_several_secrets_a_token_names_its_own(tmp_path: Path) -> None:
    """One that names none is tried on all; one that names another's isn't."""
    checks = several(tmp_path, new=NEW, old=OLD)
    for secret, kid in ((NEW, "new"), (OLD, "old"), (NEW, None), (OLD, None)):
        assert checks.verify(sign(key=secret, key_id=kid)).name == "alice"
    for secret, kid in ((NEW, "old"), (OLD, "new"), (SECRET, "new"), (SECRET, None)):
        assert refusal(checks.verify, sign(key=secret, key_id=kid)).code == "invalid_token"
    unknown = refusal(checks.verify, sign(key=NEW, key_id="newest"))
    assert "isn't known here" in unknown.message
    late = refusal(checks.verify, sign(key=OLD, exp=int(time.time()) - 60))
    assert late.code == "token_expired"


def test_a_secret_without_a_name_goes_with_those_that_have_one(tmp_path: Path) -> None:
    """It takes tokens of any name that isn't another's, as it does alone."""
    checks = several(tmp_path, nameless=SECRET, new=NEW)
    for secret, kid in ((SECRET, None), (SECRET, "whatever"), (NEW, "new"), (NEW, None)):
        assert checks.verify(sign(key=secret, key_id=kid)).name == "alice"
    assert refusal(checks.verify, sign(key=SECRET, key_id="new")).code == "invalid_token"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no secret"),
        ("[secrets]", "holds no secret"),
        ("secrets = 1", "holds no secret"),
        ("[secrets]\na = 1", "secrets.a must be a text"),
        ('[secrets]\na = ""', "secrets.a must be a text"),
        ('[secret]\na = "b"', r"there are \[secrets\]"),
        ("[secrets", "is not TOML"),
        ('[secrets]\na = "short"', "secrets.a is shorter than 32 bytes"),
    ],
)
def test_a_file_of_secrets_that_cant_be_meant_is_refused(
    tmp_path: Path, text: str, words: str
) -> None:
    """With the place; a short one in production."""
    path = tmp_path / "secrets.toml"
    path.write_text(text)
    with pytest.raises(SettingError, match=f"AUTH_JWT_SECRETS_FILE.*{words}"):
        keys_of(secret=None, public_key_file=None, jwks=None, secrets_file=str(path), strict=True)


def test_a_principal_is_renewed_while_its_secret_is_there(tmp_path: Path) -> None:
    """With the rights that the file gives now."""
    path = tmp_path / "rights.toml"
    both = several(tmp_path, new=NEW, old=OLD)
    alice = both.verify(sign(key=OLD, bookcast={"max_depth": 5}))
    assert both.renewed(alice) == alice
    assert several(tmp_path, new=NEW).renewed(alice) is None
    assert several(tmp_path, renamed=OLD).renewed(alice) == alice
    path.write_text('[principals.alice]\nsymbols = ["HK.*"]\nmax_depth = 50\n')
    keys = keys_of(secret=OLD, public_key_file=None, jwks=None)
    renewed = tokens(keys, rights=RightsFile.read(str(path))).renewed(alice)
    assert renewed is not None
    assert (renewed.rights.symbols, renewed.rights.max_depth) == (("HK.*",), 5)


@pytest.mark.parametrize("trusts_foreign", [True, False])
@pytest.mark.parametrize(
    "claims",
    [
        {"scp": ["publish"]},
        {"scope": "openid profile"},
        {"scp": "User.Read", "bookcast": {"max_depth": 5}},
        {"scope": ""},
        {},
    ],
)
def test_a_renewed_principal_keeps_what_its_scope_says(
    claims: dict[str, Any], trusts_foreign: bool
) -> None:
    """And why it may do nothing."""
    checks = tokens(trusts_foreign=trusts_foreign)
    principal = checks.verify(sign(claims))
    assert checks.renewed(principal) == principal


def test_a_token_of_ours_names_the_last_secret_of_several(tmp_path: Path) -> None:
    """Where one is appended, that is the newest."""
    checks = several(tmp_path, old=OLD, new=NEW)
    token = mint(
        {"sub": "bob"},
        lifetime=60,
        secret=None,
        private_key_file=None,
        secrets_file=str(tmp_path / "secrets.toml"),
    )
    assert checks.verify(token).name == "bob"
    assert jwt.get_unverified_header(token)["kid"] == "new"


def test_a_token_of_our_own_making_is_believed() -> None:
    """It is valid from now on, for the requested time."""
    before = int(time.time())
    claims = {"sub": "bob", "scope": "publish"}
    token = mint(claims, lifetime=60, secret=SECRET, private_key_file=None)
    principal = tokens().verify(token, max_seconds=60)
    assert principal.name == "bob"
    assert principal.rights.scopes == {"publish"}
    assert principal.expires_at is not None
    assert before + 60 <= principal.expires_at <= time.time() + 60
    assert json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))["alg"] == "HS256"
