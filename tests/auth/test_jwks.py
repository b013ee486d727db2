import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from bookcast.auth.jwks import Jwks, JwksTimes, UnknownKey
from bookcast.auth.tokens import Tokens, keys_of
from bookcast.errors import InvalidInput, SettingError
from tests.auth.keyring import (
    auth_request,
    ec_key,
    gate,
    jwk,
    refusal,
    rsa_key,
    sign,
    sign_by_hand,
    tokens,
)
from tests.support import ManualTimer, eventually

RETRY_SECONDS = JwksTimes().retry_seconds


class Issuer:
    """Whoever publishes keys: says what it has, or fails, when it is told to answer."""

    def __init__(self, *keys: dict[str, Any], times: JwksTimes | None = None) -> None:
        self.keys: Any = list(keys)
        self.asked = 0
        self.fault: Exception | None = None
        self.answers = threading.Event()
        self.answers.set()
        self.timer = ManualTimer()
        self.jwks = Jwks(
            "http://localhost/keys", clock=self.timer.clock, fetch=self.fetch, times=times
        )

    def fetch(self) -> Any:
        self.asked += 1
        assert self.answers.wait(10)
        if self.fault is not None:
            raise self.fault
        return {"keys": list(self.keys)}


ONE = jwk(rsa_key("one"), "one")
TWO = jwk(rsa_key("two"), "two")
CURVE = jwk(ec_key(), "curve")


def checks(jwks: Jwks) -> Tokens:
    return tokens(keys_of(secret=None, public_key_file=None, jwks=jwks))


def known(jwks: Jwks, key_id: str | None, algorithm: str = "RS256") -> bool:
    try:
        jwks.find(key_id, algorithm)
    except (UnknownKey, InvalidInput):
        return False
    return True


# Which key


async def test_a_token_is_checked_with_the_key_that_it_names() -> None:
    """Among several, of both kinds."""
    issuer = Issuer(ONE, TWO, CURVE)
    await issuer.jwks.refresh()
    verify = checks(issuer.jwks).verify
    assert verify(sign(key=rsa_key("one"), algorithm="RS256", key_id="one")).name == "alice"
    assert verify(sign(key=rsa_key("two"), algorithm="RS256", key_id="two")).name == "alice"
    assert verify(sign(key=ec_key(), algorithm="ES256", key_id="curve")).name == "alice"
    forged = sign(key=rsa_key("two"), algorithm="RS256", key_id="one")
    assert refusal(verify, forged).code == "invalid_token"


async def test_a_token_may_name_no_key_where_only_one_fits() -> None:
    """Where several do, nobody tries them all."""
    issuer = Issuer(jwk(rsa_key("one"), None), CURVE)
    await issuer.jwks.refresh()
    verify = checks(issuer.jwks).verify
    assert verify(sign(key=rsa_key("one"), algorithm="RS256")).name == "alice"
    issuer.keys.append(TWO)
    await issuer.jwks.refresh()
    issuer.timer.now += 1
    assert refusal(verify, sign(key=rsa_key("one"), algorithm="RS256")).code == "invalid_token"


@pytest.mark.parametrize(
    "key",
    [
        jwk(rsa_key("one"), "one", alg="RS512"),
        jwk(rsa_key("one"), "one", alg="PS256"),
        jwk(rsa_key("one"), "one", alg="HS256"),
        jwk(rsa_key("one"), "one", alg="ES256"),
        jwk(rsa_key("one"), "one", alg="none"),
        jwk(rsa_key("one"), "one", use="enc"),
        {"kty": "oct", "k": "AAAA", "kid": "one", "alg": "RS256"},
        jwk(rsa_key("one"), 1),  # type: ignore[arg-type] # wrong on purpose
    ],
    ids=lambda key: f"{key['kty']} {key.get('alg')} {key.get('use')}",
)
async def test_a_key_is_for_what_its_issuer_says(key: dict[str, Any]) -> None:
    """One for another algorithm, for encryption or of another name checks no token of ours."""
    issuer = Issuer(key, TWO)
    await issuer.jwks.refresh()
    forged = sign(key=rsa_key("one"), algorithm="RS256", key_id="one")
    assert refusal(checks(issuer.jwks).verify, forged).code == "invalid_token"


async def test_a_shared_secret_in_a_set_is_none() -> None:
    """Everybody can read the set, so nothing is signed with what stands there."""
    secret = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I", "kid": "s"}
    issuer = Issuer(secret, ONE)
    await issuer.jwks.refresh()
    for key in (b"secret-secret-secret-secret-secr", json.dumps(ONE).encode()):
        forged = sign_by_hand({"alg": "HS256", "kid": "s"}, {"sub": "alice"}, key)
        assert "accepted here: ES256, RS256" in refusal(checks(issuer.jwks).verify, forged).message


async def test_a_key_on_another_curve_checks_nothing() -> None:
    """Whatever algorithm it claims to be for."""
    other = ec.generate_private_key(ec.SECP384R1())
    issuer = Issuer(jwk(other, "curve", alg="ES256"), ONE)
    await issuer.jwks.refresh()
    forged = sign(key=other, algorithm="ES384", key_id="curve")
    assert refusal(checks(issuer.jwks).verify, forged).code == "invalid_token"
    body = sign(key=ec_key(), algorithm="ES256", key_id="curve")
    assert refusal(checks(issuer.jwks).verify, body).code == "invalid_token"


async def test_a_set_that_was_published_with_its_private_half_does_no_harm() -> None:
    """A token is believed or refused, as always."""
    private = {**RSAAlgorithm.to_jwk(rsa_key("one"), as_dict=True), "kid": "one"}
    private.pop("key_ops", None)
    issuer = Issuer(private, TWO)
    await issuer.jwks.refresh()
    token = sign(key=rsa_key("one"), algorithm="RS256", key_id="one")
    try:
        assert checks(issuer.jwks).verify(token).name == "alice"
    except InvalidInput as error:
        assert error.code == "invalid_token"
    assert known(issuer.jwks, "two")


@pytest.mark.parametrize(
    "odd",
    [
        None,
        7,
        {},
        {"kty": "RSA"},
        {"kty": "RSA", "n": "!", "e": "AQAB"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty": "future", "kid": "one"},
        {**ONE, "alg": "FUTURE"},
        {**ONE, "alg": ["RS256"]},
        {**ONE, "n": 7},
        {"kty": ["RSA"]},
    ],
    ids=lambda odd: str(odd)[:20],
)
async def test_what_isnt_understood_of_a_set_is_passed_over(odd: Any) -> None:
    """The other keys of it count."""
    issuer = Issuer()
    issuer.keys = [odd, TWO]
    await issuer.jwks.refresh()
    assert known(issuer.jwks, "two")
    assert issuer.jwks.fault == ""


# When it is asked for


async def test_nothing_is_known_at_first() -> None:
    """Somebody has to ask."""
    issuer = Issuer(ONE)
    assert issuer.jwks.fault
    with pytest.raises(UnknownKey):
        issuer.jwks.find("one", "RS256")
    await issuer.jwks.refresh()
    assert issuer.jwks.fault == ""
    assert issuer.jwks.find("one", "RS256").key_id == "one"
    assert issuer.asked == 1


async def test_a_new_key_is_asked_for_and_an_old_one_forgotten() -> None:
    """As soon as a token names it."""
    issuer = Issuer(ONE)
    await issuer.jwks.refresh()
    issuer.keys = [TWO]
    issuer.timer.now += RETRY_SECONDS
    assert known(issuer.jwks, "one")
    with pytest.raises(UnknownKey):
        issuer.jwks.find("two", "RS256")
    await issuer.jwks.refresh()
    assert known(issuer.jwks, "two")
    assert not known(issuer.jwks, "one")


async def test_made_up_keys_are_asked_for_now_and_then_only() -> None:
    """However many tokens name one."""
    issuer = Issuer(ONE)
    entrance = gate(auth_jwks_url="http://localhost/keys")
    entrance.jwks = issuer.jwks
    entrance._tokens = checks(issuer.jwks)
    forged = sign(key=rsa_key("two"), algorithm="RS256", key_id="made up")
    for _ in range(10):
        for _ in range(10):
            with pytest.raises(InvalidInput):
                await entrance.identify(auth_request(headers={"Authorization": f"Bearer {forged}"}))
        issuer.timer.now += RETRY_SECONDS / 2
    assert issuer.asked == 5
    token = sign(key=rsa_key("one"), algorithm="RS256", key_id="one")
    caller = await entrance.identify(auth_request(headers={"Authorization": f"Bearer {token}"}))
    assert caller.principal is not None
    assert caller.principal.name == "alice"


async def test_all_wait_for_the_same_answer() -> None:
    """Meanwhile those whose key is known don't, and others are told to wait as well."""
    issuer = Issuer(ONE)
    await issuer.jwks.refresh()
    issuer.keys.append(TWO)
    issuer.answers.clear()
    issuer.timer.now += RETRY_SECONDS
    waiting = [asyncio.create_task(issuer.jwks.refresh()) for _ in range(20)]
    await eventually(lambda: issuer.asked == 2, "the question")
    assert known(issuer.jwks, "one")
    with pytest.raises(UnknownKey):
        issuer.jwks.find("two", "RS256")
    assert not any(task.done() for task in waiting)
    issuer.answers.set()
    await asyncio.gather(*waiting)
    assert issuer.asked == 2
    assert known(issuer.jwks, "two")


async def test_who_stops_waiting_takes_the_answer_from_nobody() -> None:
    """A client may leave meanwhile."""
    issuer = Issuer(ONE)
    issuer.answers.clear()
    first = asyncio.create_task(issuer.jwks.refresh())
    second = asyncio.create_task(issuer.jwks.refresh())
    await eventually(lambda: issuer.asked == 1, "the question")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    issuer.answers.set()
    await second
    assert known(issuer.jwks, "one")
    assert issuer.asked == 1


async def test_a_slow_answer_isnt_asked_for_again_at_once() -> None:
    """The time until the next question begins with the answer."""
    issuer = Issuer(ONE)
    issuer.answers.clear()
    asking = asyncio.create_task(issuer.jwks.refresh())
    await eventually(lambda: issuer.asked == 1, "the question")
    issuer.timer.now += RETRY_SECONDS * 2
    issuer.answers.set()
    await asking
    assert refusal(issuer.jwks.find, "made up", "RS256").code == "invalid_token"


async def test_who_comes_just_after_the_answer_asks_no_second_time() -> None:
    """What they didn't know is known now, or has just been asked for."""
    issuer = Issuer(ONE)
    entrance = gate(auth_jwks_url="http://localhost/keys")
    entrance.jwks = issuer.jwks
    await entrance.ask_for_keys()
    await entrance.ask_for_keys()
    assert issuer.asked == 1


async def test_the_keys_known_hold_while_their_issuer_is_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is said why, and no new ones can be checked."""
    issuer = Issuer(ONE)
    await issuer.jwks.refresh()
    issuer.fault = OSError("connection refused")
    issuer.timer.now += RETRY_SECONDS
    with caplog.at_level(logging.WARNING):
        await issuer.jwks.refresh()
    assert issuer.jwks.fault == "connection refused"
    assert "AUTH_JWKS_URL" in caplog.text
    assert known(issuer.jwks, "one")
    issuer.fault = None
    await issuer.jwks.refresh()
    assert issuer.jwks.fault == ""


async def test_a_fault_has_a_name() -> None:
    """Even one that says nothing."""
    issuer = Issuer(ONE)
    issuer.fault = TimeoutError()
    await issuer.jwks.refresh()
    assert issuer.jwks.fault == "TimeoutError"


async def test_without_keys_tokens_cant_be_checked_now() -> None:
    """Which isn't the token's fault."""
    issuer = Issuer(ONE)
    issuer.fault = OSError("connection refused")
    await issuer.jwks.refresh()
    assert refusal(issuer.jwks.find, "one", "RS256").code == "keys_unavailable"


async def test_a_new_key_cant_be_checked_while_the_issuer_is_away() -> None:
    """Nobody knows whether there is one, so its client is told to come back."""
    issuer = Issuer(ONE)
    await issuer.jwks.refresh()
    issuer.fault = OSError("connection refused")
    issuer.timer.now += RETRY_SECONDS
    await issuer.jwks.refresh()
    assert refusal(issuer.jwks.find, "new", "RS256").code == "keys_unavailable"


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["keys", "kty", "n", "e", "alg", "kid"]), inner)
        ),
        max_leaves=8,
    )
)
def test_no_answer_takes_the_known_keys_away(answer: Any) -> None:
    """Whatever it is that isn't a set of keys."""

    async def ask_twice() -> None:
        issuer = Issuer(ONE)
        await issuer.jwks.refresh()
        issuer.jwks._fetch = lambda: answer
        await issuer.jwks.refresh()
        assert issuer.jwks.fault
        assert known(issuer.jwks, "one")

    asyncio.run(ask_twice())


async def test_keys_are_asked_for_again_and_again() -> None:
    """So that those that were withdrawn are believed no longer than that."""
    issuer = Issuer(ONE, times=JwksTimes(refresh_seconds=0.002, retry_seconds=0.001))
    refreshing = issuer.jwks.refreshing()
    refreshing.start()
    await eventually(lambda: issuer.asked >= 2, "two questions")
    issuer.fault = OSError("away")
    await eventually(lambda: issuer.jwks.fault == "away", "the fault")
    issuer.fault, issuer.keys = None, [TWO]
    await eventually(lambda: known(issuer.jwks, "two"), "the new key")
    assert not known(issuer.jwks, "one")
    await refreshing.close()


async def test_the_first_question_and_the_one_after_a_fault_come_soon() -> None:
    """With the times of a server, whose next regular one would be minutes away."""
    issuer = Issuer(ONE, times=JwksTimes(retry_seconds=0.001))
    issuer.fault = OSError("away")
    refreshing = issuer.jwks.refreshing()
    refreshing.start()
    await eventually(lambda: issuer.asked >= 2, "two attempts")
    issuer.fault = None
    await eventually(lambda: known(issuer.jwks, "one"), "the key")
    await refreshing.close()


def test_what_failed_is_asked_for_again_before_what_did_not() -> None:
    """Or an issuer that was away would be away for as long as keys are believed."""
    with pytest.raises(ValueError, match=r"refresh_seconds .* longer than .* retry_seconds"):
        JwksTimes(refresh_seconds=5.0)


# Where from


@pytest.mark.parametrize("write", [str, Path.as_uri], ids=["path", "uri"])
async def test_a_set_may_be_a_file(tmp_path: Path, write: Callable[[Path], str]) -> None:
    """At a path or a file:// address."""
    path = tmp_path / "my keys.json"
    path.write_text(json.dumps({"keys": [ONE]}))
    jwks = Jwks(write(path))
    await jwks.refresh()
    assert jwks.fault == ""
    assert known(jwks, "one")
    path.unlink()
    await jwks.refresh()
    assert "No such file" in jwks.fault
    assert known(jwks, "one")


async def test_a_path_is_seen_from_where_the_server_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it goes later."""
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [ONE]}))
    monkeypatch.chdir(tmp_path)
    jwks = Jwks("keys.json")
    monkeypatch.chdir("/")
    await jwks.refresh()
    assert known(jwks, "one")


@pytest.mark.parametrize("url", ["ftp://localhost/keys", "data:application/json,{}", "c:keys.json"])
def test_keys_come_from_nowhere_else(url: str) -> None:
    """What can't be meant is found at the start."""
    with pytest.raises(SettingError, match="AUTH_JWKS_URL"):
        Jwks(url)


class Pages:
    """What a server on loopback answers: a status, headers and a text for every path."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, dict[str, str], str]] = {}
        self.asked: list[str] = []
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                pages.asked.append(self.path)
                status, headers, text = pages.pages[self.path]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name for it
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def publish(self, *keys: dict[str, Any], path: str = "/keys") -> None:
        self.pages[path] = (200, {}, json.dumps({"keys": keys}))


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pages]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    served = Pages()
    thread = threading.Thread(target=served.server.serve_forever, args=(0.01,))
    thread.start()
    yield served
    served.server.shutdown()
    thread.join()
    served.server.server_close()


async def test_keys_come_over_http_and_may_change(pages: Pages) -> None:
    """A token signed with a new key is let in at once, though nobody announced it."""
    pages.publish(ONE)
    entrance = gate(auth_jwks_url=f"{pages.url}/keys")
    assert entrance.jwks is not None
    timer = ManualTimer()
    entrance.jwks._clock = timer.clock
    for name in ("one", "two"):
        token = sign(key=rsa_key(name), algorithm="RS256", key_id=name)
        request = auth_request(headers={"Authorization": f"Bearer {token}"})
        for _ in range(3):
            caller = await entrance.identify(request)
            assert caller.principal is not None
            assert caller.principal.id == "jwt:alice"
        pages.publish(TWO)
        timer.now += RETRY_SECONDS
    assert len(pages.asked) == 2


@pytest.mark.parametrize(
    ("status", "headers", "text"),
    [
        (500, {}, "sorry"),
        (404, {}, "nothing here"),
        (200, {}, "<html>log in</html>"),
        (200, {}, "[]"),
        (200, {}, ""),
        (200, {}, "[" * 100_000),
        (200, {"Content-Length": "1000"}, '{"keys": ['),
        (302, {"Location": "/elsewhere"}, ""),
    ],
    ids=["500", "404", "a page", "a list", "nothing", "deep", "half", "a way elsewhere"],
)
async def test_another_answer_over_http_is_a_fault(
    pages: Pages, status: int, headers: dict[str, str], text: str
) -> None:
    """What was known stays known, and nobody is sent elsewhere."""
    pages.publish(ONE)
    jwks = Jwks(f"{pages.url}/keys")
    await jwks.refresh()
    pages.pages["/keys"] = (status, headers, text)
    pages.publish(TWO, path="/elsewhere")
    await jwks._ask()
    assert jwks.fault
    assert known(jwks, "one")
    assert not known(jwks, "two")


async def test_nobody_at_the_address_is_a_fault(pages: Pages) -> None:
    """Tokens can't be checked then, and may be again later."""
    jwks = Jwks("http://127.0.0.1:9/keys")
    await jwks.refresh()
    assert jwks.fault
    entrance = gate(auth_jwks_url="http://127.0.0.1:9/keys")
    token = sign(key=rsa_key("one"), algorithm="RS256", key_id="one")
    with pytest.raises(InvalidInput) as refused:
        await entrance.identify(auth_request(headers={"Authorization": f"Bearer {token}"}))
    assert refused.value.code == "keys_unavailable"
