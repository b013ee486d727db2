import asyncio
import base64
import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bookcast.auth.gate import FORWARDED, AuthRequest, Caller, Gate, keys_unavailable
from bookcast.auth.keys import make_key
from bookcast.auth.principal import ANYONE, EVERYTHING, Principal, anyone
from bookcast.errors import InvalidInput, SettingError
from bookcast.limits import Refusals
from bookcast.observability.throttle import REPORT_SECONDS, WarningThrottle
from bookcast.settings import from_keywords
from tests.auth.keyring import (
    CLIENT,
    PROXY,
    SECRET,
    auth_request,
    coded,
    gate,
    jwk,
    refusal,
    rsa_key,
    sign,
    told,
)

KEY = "bck_of_the_feeder"
KEYS = f'[keys.feeder]\nsha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"\n'

OURS, LISTED, FOREIGN = (
    "https://stream.example.com",
    "https://app.example.com",
    "https://evil.example",
)
KUBERNETES = "base64url.bearer.authorization.k8s.io."


@pytest.fixture
def keys_file(tmp_path: Path) -> str:
    path = tmp_path / "keys.toml"
    path.write_text(KEYS)
    return str(path)


def principal_of(entrance: Gate, request: AuthRequest) -> Principal:
    principal = entrance.admit(request).principal
    assert principal is not None
    return principal


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def scopes_of(entrance: Gate, request: AuthRequest) -> frozenset[str]:
    principal = entrance.admit(request).principal
    return frozenset() if principal is None else principal.rights.scopes


# Where a credential may stand


PLACES: dict[str, Callable[[str], AuthRequest]] = {
    "header": lambda token: auth_request(headers=bearer(token)),
    "header in another case": lambda token: auth_request(
        headers={"authorization": f"bearer  {token} "}
    ),
    "second header": lambda token: auth_request(
        headers={"Authorization": ["Basic YTpi", f"Bearer {token}"]}
    ),
    "API key's header": lambda token: auth_request(headers={"X-API-Key": token}),
    "subprotocol": lambda token: auth_request(offered=["bookcast.v1", f"bearer.{token}"]),
    "Kubernetes' subprotocol": lambda token: auth_request(
        offered=["bookcast.v1", KUBERNETES + coded(token.encode())]
    ),
    "padded subprotocol": lambda token: auth_request(
        offered=[KUBERNETES + base64.urlsafe_b64encode(token.encode()).decode()]
    ),
    "address": lambda token: auth_request(query={"token": token}),
    "cookie": lambda token: auth_request(
        headers={"Cookie": f"a=b; session={token}; c=d", "Origin": OURS}
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_token_may_stand_in_many_places(place: str) -> None:
    """Since not every client can set every header."""
    entrance = gate(auth_cookie="session")
    caller = entrance.admit(PLACES[place](sign()))
    assert caller.principal is not None
    assert caller.principal.id == "jwt:alice"
    assert caller.rights.scopes == {"read"}
    assert caller.address == CLIENT
    assert not caller.proxied


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("token", [sign(key="x" * 40), "garbage", sign(exp=1)])
def test_a_wrong_token_is_refused_wherever_it_stands(place: str, token: str) -> None:
    """Rather than taken for none, even from where none is needed."""
    entrance = gate(auth_cookie="session", admin_allow=[CLIENT], publish_allow=[CLIENT])
    error = refusal(entrance.admit, PLACES[place](token))
    assert error.code in {"invalid_token", "token_expired"}


def test_the_places_have_an_order() -> None:
    """What a program wrote counts more than what a browser adds, and only one is looked at."""
    entrance = gate(auth_cookie="session")
    said = {name: sign(sub=name) for name in ("header", "key", "offered", "query", "cookie")}
    headers = {
        **bearer(said["header"]),
        "X-API-Key": said["key"],
        "Cookie": f"session={said['cookie']}",
        "Origin": OURS,
    }
    offered, query = [f"bearer.{said['offered']}"], {"token": said["query"]}
    assert (
        principal_of(entrance, auth_request(headers=headers, offered=offered, query=query)).name
        == "header"
    )
    del headers["Authorization"]
    assert (
        principal_of(entrance, auth_request(headers=headers, offered=offered, query=query)).name
        == "key"
    )
    del headers["X-API-Key"]
    request = auth_request(headers=headers, offered=offered, query=query)
    assert principal_of(entrance, request).name == "offered"
    assert principal_of(entrance, auth_request(headers=headers, query=query)).name == "query"
    assert principal_of(entrance, auth_request(headers=headers)).name == "cookie"
    broken = auth_request(headers={**headers, **bearer("garbage")}, query=query)
    assert refusal(entrance.admit, broken).code == "invalid_token"


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer "}, {"Authorization": "x"}],
)
def test_who_shows_nothing_is_nobody_yet(headers: dict[str, str]) -> None:
    """They may say who they are later, and have no right until then."""
    caller = gate().admit(auth_request(headers=headers))
    assert caller.principal is None
    with pytest.raises(InvalidInput) as refused:
        _ = caller.rights
    assert told(refused.value).code == "unauthenticated"


@pytest.mark.parametrize("junk", ["é", "\xff", "!", "a", "_w", "gA", "\x00", "w6k=w6k="])
def test_what_isnt_base64url_is_no_token(junk: str) -> None:
    """A header may hold any byte."""
    assert refusal(gate().admit, auth_request(offered=[KUBERNETES + junk])).code == "invalid_token"


HEADER = st.text(st.characters(max_codepoint=255))


@given(st.sampled_from(["header", "key", "offered", "k8s", "query", "cookie", "user"]), HEADER)
@example("k8s", "é")
@example("cookie", "session=\x00")
@example("cookie", "session; é=\xff")
def test_any_garbage_is_refused_or_says_nothing(place: str, text: str) -> None:
    """Wherever it stands, with whatever characters."""
    header = {
        "header": {"Authorization": f"Bearer {text}"},
        "key": {"X-API-Key": text},
        "cookie": {"Cookie": text, "Origin": OURS},
        "user": {"X-Forwarded-User": text, "X-Forwarded-For": text, "Forwarded": text},
    }.get(place, {})
    offered = {"offered": [f"bearer.{text}"], "k8s": [KUBERNETES + text]}.get(place, [])
    query = {"token": text} if place == "query" else {}
    entrance = gate(auth_cookie="session", trusted_proxies=[PROXY])
    for peer in (CLIENT, PROXY):
        request = auth_request(peer, header, offered=offered, query=query)
        try:
            entrance.check_page(request)
            assert entrance.admit(request).principal is None
        except InvalidInput as error:
            told(error)


# The address


@pytest.mark.parametrize(("lifetime", "taken"), [(30, True), (200, False), (..., False)])
def test_a_token_in_the_address_must_not_last(lifetime: Any, taken: bool) -> None:
    """AUTH_QUERY_TOKEN_SECONDS says how long at most."""
    entrance = gate(auth_query_token_seconds=60)
    token = sign(exp=... if lifetime is ... else int(time.time()) + lifetime)
    if taken:
        assert principal_of(entrance, auth_request(query={"token": token})).name == "alice"
    else:
        assert (
            "AUTH_QUERY_TOKEN_SECONDS"
            in refusal(entrance.admit, auth_request(query={"token": token})).message
        )
    assert principal_of(entrance, auth_request(headers=bearer(token))).name == "alice"


def test_tokens_in_addresses_can_be_forbidden() -> None:
    """With AUTH_QUERY_TOKEN_SECONDS=0."""
    error = refusal(gate(auth_query_token_seconds=0).admit, auth_request(query={"token": sign()}))
    assert error.code == "invalid_token"


@pytest.mark.parametrize("mode", ["jwt", "keys", "none"])
def test_an_api_key_doesnt_belong_into_an_address(keys_file: str, mode: str) -> None:
    """It doesn't expire, so that whoever reads a log could use it."""
    entrance = gate(auth_mode=mode, auth_api_keys_file=keys_file)
    assert refusal(entrance.admit, auth_request(query={"token": KEY})).code == "invalid_token"


# The cookie


@pytest.mark.parametrize(
    ("origin", "page", "taken"),
    [
        (OURS, True, True),
        (LISTED, True, True),
        (FOREIGN, True, False),
        ("null", True, False),
        ("http://localhost:5173", True, False),
        (None, True, False),
        (None, False, True),
        (OURS, False, True),
        (f"{LISTED}:443", False, True),
        (FOREIGN, False, False),
        ("null", False, False),
        ("file://", False, False),
        ("http://localhost:5173", False, False),
    ],
)
@pytest.mark.parametrize("environment", ["development", "production"])
def test_a_cookie_counts_for_pages_known_by_name(
    origin: str | None, page: bool, taken: bool, environment: str
) -> None:
    """A browser sends it whichever page asks, so neither * nor saying nothing will do."""
    entrance = gate(environment=environment, auth_cookie="session", allowed_origins=["*", LISTED])
    said = {"Cookie": f"session={sign()}"} | ({} if origin is None else {"Origin": origin})
    request = auth_request(headers=said, page=page)
    if taken:
        assert principal_of(entrance, request).name == "alice"
    else:
        assert refusal(entrance.admit, request).code == "origin_not_allowed"


def test_two_origins_are_none() -> None:
    """A browser sends one."""
    entrance = gate(auth_cookie="session")
    said = {"Cookie": f"session={sign()}", "Origin": [OURS, FOREIGN]}
    assert refusal(entrance.admit, auth_request(headers=said)).code == "origin_not_allowed"
    assert refusal(entrance.check_page, auth_request(headers=said)).code == "origin_not_allowed"


@pytest.mark.parametrize(
    "cookies",
    [
        ["session={}"],
        ["a=b", "session={}"],
        ["session={}; a=b"],
        [' a=b ;  session="{}"'],
        ["a=b;session={}"],
        ['prefs={{"dark": true}}; session={}'],
        ["name=two words; session={}"],
        ["flag; session={}"],
        ["é=1; session={}"],
        ["a[]=1; session={}; b=[x y]"],
    ],
)
def test_a_cookie_is_found_among_others(cookies: list[str]) -> None:
    """Whatever those of other programs look like."""
    headers = {"Cookie": [cookie.format(sign()) for cookie in cookies], "Origin": OURS}
    assert principal_of(gate(auth_cookie="session"), auth_request(headers=headers)).name == "alice"


@pytest.mark.parametrize(
    "cookie", ["", "other={}", "Session={}", "xsession={}", "a=session={}", "session", "; ; ="]
)
def test_another_cookie_is_no_credential(cookie: str) -> None:
    """Its name is exact."""
    headers = {"Cookie": cookie.format(sign()), "Origin": OURS}
    assert gate(auth_cookie="session").admit(auth_request(headers=headers)).principal is None


def test_cookies_count_only_when_asked_for(keys_file: str) -> None:
    """With AUTH_COOKIE, and where tokens are taken: an API key is no cookie."""
    headers = {"Cookie": f"session={sign()}", "Origin": OURS}
    assert gate().admit(auth_request(headers=headers)).principal is None
    entrance = gate(auth_mode="keys", auth_api_keys_file=keys_file, auth_cookie="session")
    headers = {"Cookie": f"session={KEY}", "Origin": OURS}
    assert entrance.admit(auth_request(headers=headers)).principal is None


# A proxy that says who it is


def behind(
    entrance_peer: str = PROXY,
    users: str | Sequence[str] | None = "alice",
    origin: str | None = OURS,
    *,
    page: bool = True,
    more: Mapping[str, str] | None = None,
) -> AuthRequest:
    """Come through a proxy that writes who somebody is."""
    headers: dict[str, str | Sequence[str]] = {"X-Forwarded-For": CLIENT, **(more or {})}
    if users is not None:
        headers["X-Forwarded-User"] = users
    if origin is not None:
        headers["Origin"] = origin
    return auth_request(entrance_peer, headers, page=page)


def proxied(refusals: Refusals | None = None, **settings: Any) -> Gate:
    return gate(
        refusals,
        **{
            "auth_mode": "proxy",
            "trusted_proxies": [PROXY],
            "allowed_origins": ["*", LISTED],
            **settings,
        },
    )


def test_a_trusted_proxy_says_who_it_is() -> None:
    """Under a name that no token or key has."""
    caller = proxied().admit(behind())
    assert caller.principal is not None
    assert caller.principal.id == "user:alice"
    assert caller.principal.expires_at is None
    assert caller.rights.scopes == {"read"}
    assert (caller.address, caller.proxied) == (CLIENT, True)


def test_its_header_may_have_another_name() -> None:
    """And then only that one counts."""
    entrance = proxied(auth_proxy_header="Remote-User")
    assert principal_of(entrance, behind(users="x", more={"Remote-User": " bob "})).name == "bob"
    assert entrance.admit(behind()).principal is None


def test_nobody_else_says_who_they_are(caplog: pytest.LogCaptureFixture) -> None:
    """Not even through a proxy that isn't trusted; the log says so."""
    refusals = Refusals()
    with caplog.at_level(logging.WARNING):
        assert proxied(refusals).admit(behind("203.0.113.9")).principal is None
    assert "203.0.113.9" in caplog.text
    assert "TRUSTED_PROXIES" in caplog.text
    assert refusals.counts["untrusted_proxy"] >= 1


@pytest.mark.parametrize("mode", ["none", "jwt"])
def test_a_proxys_header_counts_in_no_other_mode(mode: str) -> None:
    """Where nobody looks at it."""
    entrance = gate(auth_mode=mode, trusted_proxies=[PROXY])
    principal = entrance.admit(behind()).principal
    assert principal is None or principal.kind == ANYONE


@pytest.mark.parametrize("users", ["", " ", ["alice", "bob"], ["", ""]])
def test_a_proxy_names_one(users: str | list[str]) -> None:
    """Of two, a client may have written one."""
    assert refusal(proxied().admit, behind(users=users)).code == "unauthenticated"


def test_a_proxy_may_name_nobody() -> None:
    """Who has no other credential stays nobody."""
    assert proxied().admit(behind(users=None)).principal is None


@pytest.mark.parametrize(
    ("origin", "page", "taken"),
    [
        (OURS, True, True),
        (LISTED, True, True),
        (FOREIGN, True, False),
        ("null", True, False),
        (None, True, False),
        (None, False, True),
        (FOREIGN, False, False),
        ("null", False, False),
    ],
)
def test_a_proxys_word_counts_for_pages_known_by_name(
    origin: str | None, page: bool, taken: bool
) -> None:
    """The browser may have shown the proxy a cookie of its own, whichever page asked."""
    request = behind(origin=origin, page=page)
    if taken:
        assert principal_of(proxied(), request).name == "alice"
    else:
        assert refusal(proxied().admit, request).code == "origin_not_allowed"


def test_what_else_a_proxy_passes_on_hides_nobodys_name() -> None:
    """Many pass on a token that was meant for them, where none is taken."""
    for more in ({"Authorization": "Bearer x.y.z"}, {"X-API-Key": "x"}):
        assert principal_of(proxied(), behind(more=more)).id == "user:alice"


def test_whom_a_proxy_names_has_the_rights_of_the_file(tmp_path: Path) -> None:
    """Their own table, then the default's."""
    path = tmp_path / "rights.toml"
    path.write_text(
        '[default]\nmax_depth = 5\n[principals.alice]\nscope = "admin"\nsymbols = ["AAPL"]'
    )
    entrance = proxied(auth_rights_file=str(path), default_market="HK")
    rights = principal_of(entrance, behind()).rights
    assert rights.scopes == {"admin"}
    assert rights.max_depth == 5
    assert rights.symbols == ("HK.AAPL",)
    assert principal_of(entrance, behind(users="bob")).rights.scopes == {"read"}


# Open, keys


def test_an_open_server_serves_everybody() -> None:
    """Whatever they show."""
    entrance = gate(auth_mode="none")
    assert entrance.is_open
    assert not entrance.takes_credentials
    for request in (
        auth_request(),
        auth_request(headers=bearer("x")),
        auth_request(query={"token": "x"}),
        behind(),
    ):
        principal = principal_of(entrance, request)
        assert (principal.kind, principal.rights) == (ANYONE, EVERYTHING)
    assert refusal(entrance.verify, sign()).code == "not_supported"


def test_who_may_publish_on_an_open_server_can_be_said(keys_file: str) -> None:
    """By address, or by key; then the others read."""
    by_address = gate(auth_mode="none", publish_allow=["203.0.113.0/24"])
    assert scopes_of(by_address, auth_request("203.0.113.9")) == {"read", "publish", "admin"}
    assert scopes_of(by_address, auth_request()) == {"read", "admin"}
    by_key = gate(auth_mode="none", auth_api_keys_file=keys_file)
    assert by_key.is_open
    assert by_key.takes_credentials
    assert scopes_of(by_key, auth_request(headers={"X-API-Key": KEY})) == {"publish"}
    assert scopes_of(by_key, auth_request()) == {"read", "admin"}
    wrong = auth_request(headers={"X-API-Key": "bck_wrong"})
    assert refusal(by_key.admit, wrong).code == "invalid_token"


@pytest.mark.parametrize("place", ["header", "API key's header", "subprotocol"])
def test_a_server_of_keys_asks_for_one(keys_file: str, place: str) -> None:
    """In the same places as a token."""
    entrance = gate(auth_mode="keys", auth_api_keys_file=keys_file)
    assert not entrance.is_open
    assert principal_of(entrance, PLACES[place](KEY)).id == "key:feeder"
    assert refusal(entrance.admit, PLACES[place](sign())).code == "invalid_token"
    assert refusal(entrance.admit, PLACES[place](KEY.upper())).code == "invalid_token"
    assert entrance.admit(auth_request()).principal is None
    assert entrance.verify(KEY).name == "feeder"


def test_keys_and_tokens_are_taken_side_by_side(keys_file: str) -> None:
    """People have tokens, publishers have keys."""
    entrance = gate(auth_api_keys_file=keys_file)
    assert entrance.verify(KEY).id == "key:feeder"
    assert entrance.verify(sign()).id == "jwt:alice"
    assert refusal(entrance.verify, "bck_wrong").code == "invalid_token"


def test_one_name_recognised_in_three_ways_is_three_principals(keys_file: str) -> None:
    """A session isn't found by somebody else of that name."""
    entrance = gate(auth_api_keys_file=keys_file)
    ids = {
        entrance.verify(KEY).id,
        entrance.verify(sign(sub="feeder")).id,
        entrance.verify(sign(sub="key:feeder")).id,
        entrance.verify(sign(sub="user:feeder")).id,
        principal_of(proxied(), behind(users="feeder")).id,
        principal_of(proxied(), behind(users="key:feeder")).id,
    }
    assert len(ids) == 6


# Networks


@pytest.mark.parametrize(
    ("peer", "scopes"),
    [
        ("203.0.113.9", {"publish"}),
        ("192.0.2.1", {"publish", "admin"}),
        ("2001:db8::1", {"admin"}),
        ("198.51.100.7", set()),
    ],
)
def test_networks_may_publish_and_watch_without_a_token(peer: str, scopes: set[str]) -> None:
    """PUBLISH_ALLOW and ADMIN_ALLOW, and nothing besides."""
    entrance = gate(
        publish_allow=["203.0.113.0/24", "192.0.2.1"], admin_allow=["192.0.2.1", "2001:db8::/32"]
    )
    assert scopes_of(entrance, auth_request(peer)) == scopes


@pytest.mark.parametrize("header", FORWARDED)
@pytest.mark.parametrize("mode", ["jwt", "none"])
def test_an_unknown_proxy_lends_nobody_its_networks_rights(header: str, mode: str) -> None:
    """Else everybody who comes through it could publish; nor does its word on addresses count."""
    entrance = gate(auth_mode=mode, publish_allow=["127.0.0.1"], admin_allow=["127.0.0.1"])
    assert "publish" in scopes_of(entrance, auth_request("127.0.0.1"))
    for peer, value in (("127.0.0.1", CLIENT), (CLIENT, "127.0.0.1"), ("127.0.0.1", "127.0.0.1")):
        request = auth_request(peer, {header: value})
        assert "publish" not in scopes_of(entrance, request)
        caller = entrance.admit(request)
        assert (caller.address, caller.proxied) == (peer, True)


def test_behind_a_trusted_proxy_the_clients_address_counts() -> None:
    """As far as that proxy vouches for it."""
    entrance = gate(publish_allow=["203.0.113.9"], admin_allow=[PROXY], trusted_proxies=[PROXY])
    for forwarded, scopes in (
        ("203.0.113.9", {"publish"}),
        (f"203.0.113.9, {CLIENT}", set()),
        (f"{PROXY}, {CLIENT}", set()),
        (f"{CLIENT}, 203.0.113.9", {"publish"}),
        (["203.0.113.9", CLIENT], set()),
    ):
        request = auth_request(PROXY, {"X-Forwarded-For": forwarded})
        assert scopes_of(entrance, request) == scopes


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "unknown"},
        {"X-Forwarded-For": f"unknown, {PROXY}"},
        {"X-Forwarded-For": f"{CLIENT}, _hidden"},
        {"X-Real-IP": CLIENT},
        {"Forwarded": f"for={CLIENT}"},
    ],
)
@pytest.mark.parametrize("mode", ["jwt", "none"])
def test_a_proxy_that_doesnt_say_for_whom_lends_nobody_its_networks_rights(
    headers: Mapping[str, str], mode: str
) -> None:
    """It stands in a network of ours, who comes through it doesn't."""
    ours = ["10.0.0.0/8"]
    entrance = gate(
        auth_mode=mode, publish_allow=ours, admin_allow=ours, trusted_proxies=["10.0.0.0/24"]
    )
    assert "publish" not in scopes_of(entrance, auth_request(PROXY, headers))
    assert "publish" in scopes_of(entrance, auth_request("10.1.0.1"))


def test_unknown_proxies_are_warned_of_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    """And counted each time."""
    now, refusals = 1000.0, Refusals()
    entrance = gate(refusals)
    entrance._warnings = WarningThrottle(lambda: now)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            entrance.admit(auth_request(headers={"X-Forwarded-For": "203.0.113.9"}))
        assert caplog.text.count("TRUSTED_PROXIES") == 1
        now += REPORT_SECONDS
        entrance.admit(auth_request(headers={"X-Forwarded-For": "203.0.113.9"}))
    assert caplog.text.count("TRUSTED_PROXIES") == 2
    assert refusals.counts["untrusted_proxy"] == 6


# Pages and names


def test_a_refused_page_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """With the setting that would let it in; of very many, some."""
    now = 1000.0
    entrance = gate(auth_cookie="session", allowed_hosts=["stream.example.com"])
    entrance._page_warnings = WarningThrottle(lambda: now)

    def refuse(origin: str, host: str = "stream.example.com") -> None:
        headers = {"Origin": origin, "Host": host, "Cookie": f"session={sign()}"}
        with pytest.raises(InvalidInput):
            entrance.check_page(auth_request(headers=headers))

    for _ in range(3):
        refuse(FOREIGN)
        refuse("https://other.example")
        refuse("https://evil.example", host="evil.example")
    assert caplog.text.count("add it to ALLOWED_ORIGINS") == 2
    assert caplog.text.count("ALLOWED_HOSTS") == 1
    now += REPORT_SECONDS
    refuse(FOREIGN)
    assert caplog.text.count(FOREIGN) == 2
    for number in range(1000):
        refuse(f"https://{number}.example")
    assert len(caplog.records) < 200


def test_a_cookie_that_doesnt_count_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Once a minute for each origin."""
    entrance = gate(auth_cookie="session", allowed_origins=["*"])
    headers = {"Cookie": f"session={sign()}", "Origin": FOREIGN}
    for _ in range(3):
        assert refusal(entrance.admit, auth_request(headers=headers)).code == "origin_not_allowed"
    [line] = caplog.records
    assert "ALLOWED_ORIGINS" in line.getMessage()


@pytest.mark.parametrize(
    ("host", "origin", "code"),
    [
        ("localhost:8002", None, None),
        ("localhost:8002", "http://localhost:5173", None),
        ("localhost:8002", FOREIGN, "origin_not_allowed"),
        ("evil.example:8002", None, "host_not_allowed"),
        ("evil.example:8002", "http://evil.example:8002", "host_not_allowed"),
        (["localhost", "evil.example"], None, "host_not_allowed"),
    ],
)
def test_a_page_is_stopped_by_its_name_or_the_servers(
    host: str | list[str], origin: str | None, code: str | None
) -> None:
    """In development on a loopback address."""
    entrance = Gate.of(from_keywords(), Refusals())
    headers = {"Host": host} | ({} if origin is None else {"Origin": origin})
    if code is None:
        entrance.check_page(auth_request("127.0.0.1", headers))
    else:
        assert refusal(entrance.check_page, auth_request("127.0.0.1", headers)).code == code


def test_a_trusted_proxy_may_serve_under_another_name() -> None:
    """A server for this machine alone is open to others through it; its pages are checked."""
    entrance = Gate.of(from_keywords(trusted_proxies=["127.0.0.1"]), Refusals())
    assert entrance.trusts("127.0.0.1")
    entrance.check_page(auth_request("127.0.0.1"))
    error = refusal(entrance.check_page, auth_request("127.0.0.1", {"Origin": FOREIGN}))
    assert error.code == "origin_not_allowed"


@pytest.mark.parametrize("peer", [CLIENT, PROXY])
def test_a_list_of_names_holds_behind_a_proxy_too(peer: str) -> None:
    """It passes on whatever name a page has made to point at it."""
    entrance = proxied(allowed_hosts=["stream.example.com"])
    entrance.check_page(auth_request(peer))
    rebound = {"Host": "evil.example", "Origin": "https://evil.example"}
    assert refusal(entrance.check_page, auth_request(peer, rebound)).code == "host_not_allowed"


# Keys that are published


def publishing() -> tuple[Gate, list[int]]:
    """Make a gate whose issuer publishes a key, and counts the questions."""
    entrance = gate(auth_jwks_url="http://localhost/keys", auth_cookie="session")
    asked: list[int] = []

    def fetch() -> Any:
        asked.append(1)
        return {"keys": [jwk(rsa_key("one"), "one")]}

    assert entrance.jwks is not None
    entrance.jwks._fetch = fetch
    return entrance, asked


def signed(name: str) -> str:
    return sign(key=rsa_key(name), algorithm="RS256", key_id=name)


async def test_many_who_come_at_once_ask_once() -> None:
    """Wherever they show their tokens."""
    entrance, asked = publishing()
    requests = [PLACES[place](signed("one")) for place in PLACES for _ in range(3)]
    visitors = await asyncio.gather(*(entrance.identify(request) for request in requests))
    assert {caller.principal.id for caller in visitors if caller.principal} == {"jwt:alice"}
    assert len(asked) == 1


async def test_a_key_that_nobody_knows_is_no_reason_to_wait_for_ever() -> None:
    """The issuer is asked, and the token refused."""
    entrance, asked = publishing()
    for _ in range(3):
        with pytest.raises(InvalidInput) as refused:
            await entrance.identify(PLACES["header"](signed("made up")))
        assert told(refused.value).code == "invalid_token"
    assert len(asked) == 1


async def test_keys_that_cant_be_had_are_a_reason_to_come_back() -> None:
    """With the time after which to do so."""
    entrance, _ = publishing()
    assert entrance.jwks is not None
    entrance.jwks._clock = iter(range(0, 10_000, 100)).__next__  # an hour between any two looks
    with pytest.raises(InvalidInput) as refused:
        await entrance.identify(PLACES["header"](signed("made up")))
    assert told(refused.value).code == "keys_unavailable"
    assert refused.value.retry_after is not None
    assert keys_unavailable().code == "keys_unavailable"


async def test_without_published_keys_there_is_nobody_to_ask() -> None:
    """Asking does nothing."""
    await gate().ask_for_keys()


# What the settings ask for


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"auth_jwt_public_key_file": "/nowhere/key.pem"}, "AUTH_JWT_PUBLIC_KEY_FILE"),
        ({"auth_api_keys_file": "/nowhere/keys.toml"}, "AUTH_API_KEYS_FILE"),
        ({"auth_rights_file": "/nowhere/rights.toml"}, "AUTH_RIGHTS_FILE"),
        ({"auth_jwks_url": "ftp://nowhere/keys"}, "AUTH_JWKS_URL"),
    ],
)
def test_a_file_that_is_missing_is_found_at_the_start(settings: dict[str, Any], name: str) -> None:
    """And not with the first client."""
    with pytest.raises(SettingError, match=name):
        gate(**settings)


@pytest.mark.parametrize(
    ("settings", "claims"),
    [
        ({"auth_jwt_audience": "bookcast"}, {"aud": "others"}),
        ({"auth_jwt_issuer": "https://a"}, {"iss": "https://b"}),
        ({"auth_clock_skew": 0}, {"exp": int(time.time()) - 5}),
    ],
)
def test_the_settings_say_what_a_token_must_say(
    settings: dict[str, Any], claims: dict[str, Any]
) -> None:
    """Audience, issuer, and how wrong a clock may be."""
    token = sign(claims)
    assert gate(auth_clock_skew=300).verify(token).name.endswith("alice")
    assert refusal(gate(**settings).verify, token).code in {"invalid_token", "token_expired"}


def test_a_development_server_is_open_unless_told_otherwise() -> None:
    """Nobody needs a token to try it."""
    entrance = Gate.of(from_keywords(), Refusals())
    assert entrance.is_open
    assert principal_of(entrance, auth_request("127.0.0.1")).rights == EVERYTHING
    closed = Gate.of(from_keywords(auth_mode="jwt", auth_jwt_secret=SECRET), Refusals())
    assert scopes_of(closed, auth_request("127.0.0.1")) == {"admin"}
    assert scopes_of(closed, auth_request("203.0.113.9")) == set()


@pytest.mark.parametrize(
    ("settings", "reads"),
    [
        ({}, False),
        ({"auth_jwt_issuer": "https://issuer.example"}, False),
        ({"auth_jwt_audience": "bookcast"}, True),
        ({"auth_jwt_client_id": "app"}, True),
        ({"environment": "development"}, True),
    ],
)
def test_scopes_of_others_count_as_none_given_where_the_application_is_known(
    settings: dict[str, Any], reads: bool
) -> None:
    """By its audience or its client, or in development."""
    claims = {"scope": "openid profile", "aud": "bookcast", "client_id": "app"}
    if "auth_jwt_audience" not in settings:
        claims.pop("aud")
    token = sign(claims, iss="https://issuer.example")
    scopes = scopes_of(gate(**settings), auth_request(headers=bearer(token)))
    assert scopes == ({"read"} if reads else set())


def test_a_token_for_an_audience_is_taken_where_its_client_is_asked_for() -> None:
    """The one claim says nothing of the other."""
    entrance = gate(auth_jwt_client_id="app")
    token = sign(client_id="app", aud="elsewhere")
    assert scopes_of(entrance, auth_request(headers=bearer(token))) == {"read"}


def test_keys_and_rights_that_change_are_looked_at_again(tmp_path: Path) -> None:
    """Who has a key that is gone is nobody; who has one that is there has the rights of now."""
    keys, rights = tmp_path / "keys.toml", tmp_path / "rights.toml"
    (one, digest), (other, other_digest) = make_key(), make_key()
    settings: dict[str, Any] = {
        "auth_mode": "proxy",
        "trusted_proxies": ["127.0.0.1"],
        "auth_api_keys_file": str(keys),
        "auth_rights_file": str(rights),
    }
    keys.write_text(f'[keys.a]\nsha256 = "{digest}"\n[keys.b]\nsha256 = "{other_digest}"\n')
    rights.write_text("")
    entrance = gate(**settings)
    a, b = entrance.verify(one), entrance.verify(other)
    user = entrance.admit(
        auth_request("127.0.0.1", {"X-Forwarded-User": "carol"}, page=False)
    ).principal
    assert user is not None
    assert [entrance.renewed(each) for each in (a, b, user, anyone())] == [a, b, user, anyone()]
    keys.write_text(f'[keys.b]\nsha256 = "{other_digest}"\nscope = "read"\n')
    rights.write_text('[default]\nsymbols = ["HK.*"]\n')
    entrance.take_credentials(gate(**settings))
    assert entrance.renewed(a) is None
    renewed = entrance.renewed(b)
    assert renewed is not None
    assert renewed.rights.scopes == {"read"}
    carol = entrance.renewed(user)
    assert carol is not None
    assert carol.rights.symbols == ("HK.*",)
    assert refusal(entrance.verify, one).code == "invalid_token"


@pytest.mark.parametrize("principal", [None, anyone()])
def test_the_use_of_whoever_is_not_known_is_that_of_an_address(
    principal: Principal | None,
) -> None:
    """Of IPv6 as that of their network; who is known has an account of their own."""
    assert Caller("192.0.2.7", principal).account == "192.0.2.7"
    assert Caller("2001:db8::7", principal).account == "2001:db8::/64"
    known = Principal("jwt", "alice", EVERYTHING)
    assert Caller("192.0.2.7", known).account == "jwt:alice"
