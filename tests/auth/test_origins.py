import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.auth.origins import HostPolicy, Origin, OriginPolicy, canonical, is_file
from bookcast.errors import InvalidInput
from bookcast.settings import from_keywords

TEXT = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]))


def allows(policy: OriginPolicy, origin: str | None, host: str | None = "127.0.0.1:8002") -> bool:
    try:
        policy.check(origin, host)
    except InvalidInput as refusal:
        assert refusal.code == "origin_not_allowed"
        # Which takes no file.
        assert ("ALLOWED_ORIGINS" in refusal.message) is not is_file(str(origin))
        return False
    return True


def allows_strictly(policy: OriginPolicy, origin: str | None, host: str | None) -> bool:
    try:
        policy.check_strictly(origin, host)
    except InvalidInput as refusal:
        assert refusal.code == "origin_not_allowed"
        assert "ALLOWED_ORIGINS" in refusal.message
        return False
    return True


def answers_to(policy: HostPolicy, host: str) -> bool:
    try:
        policy.check(host)
    except InvalidInput as refusal:
        assert refusal.code == "host_not_allowed"
        assert "ALLOWED_HOSTS" in refusal.message
        return False
    return True


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("null", True),
        ("file://", True),
        ("file:///", True),
        ("FILE://", True),
        ("http://localhost:5173", True),
        ("http://LocalHost.:5173", True),
        ("http://app.localhost:5173", True),
        ("capacitor://localhost", True),
        ("http://127.0.0.1:3000", True),
        ("http://[0:0:0:0:0:0:0:1]:3000", True),
        ("http://localhost@evil.example", False),
        ("http://localhost#evil.example", False),
        ("http://localhost/evil", False),
        ("http://localhost, http://localhost", False),
        ("files://evil.example", False),
        ("http://[::1]:3000", True),
        ("https://evil.example", False),
        ("http://localhost.evil.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_development_lets_pages_of_this_machine_in(origin: str | None, allowed: bool) -> None:
    """Any localhost port, files and programs may; pages from elsewhere may not."""
    assert allows(OriginPolicy.of(from_keywords()), origin) is allowed


def test_a_name_pointed_at_this_machine_is_not_trusted() -> None:
    """In development a page that rebinds its own name to loopback isn't the server's own."""
    policy = OriginPolicy.of(from_keywords())
    assert not allows(policy, "http://evil.example:8002", host="evil.example:8002")


def test_in_development_others_reach_a_server_that_listens_for_them() -> None:
    """Its own pages have the name that it was asked for under."""
    policy = OriginPolicy.of(from_keywords(host="0.0.0.0"))
    assert allows(policy, "http://laptop.local:8002", host="laptop.local:8002")
    assert not allows(policy, "http://laptop.local:8002", host="laptop.local:8003")


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("https://app.example.com", True),
        ("https://APP.example.com", True),
        ("https://app.example.com:443", True),
        ("https://app.example.com.", True),
        ("HTTPS://app.example.com/", True),
        ("wss://app.example.com", True),
        ("https://stream.example.com", True),
        ("https://stream.example.com:443", True),
        ("http://stream.example.com:80", True),
        ("ws://stream.example.com", True),
        ("http://slash.example", True),
        ("http://[2001:db8::7]:3000", True),
        ("http://[2001:0DB8:0::7]:3000", True),
        ("https://xn--bcher-kva.example", True),
        ("capacitor://localhost", True),
        ("tauri://localhost", True),
        ("chrome-extension://abcdefghijklmnop", True),
        ("https://localhost", False),
        ("capacitor://localhost:1", False),
        ("chrome-extension://abcdefghijklmnopq", False),
        ("https://b\xfccher.example", False),
        ("https://xapp.example.com", False),
        ("https://app.example.com..", False),
        ("https://app-example.com", False),
        ("https://app.example.com:80", False),
        ("https://app.example.com@evil.example", False),
        ("https://evil.example/https://app.example.com", False),
        ("https://app.example.com\\.evil.example", False),
        ("ws://app.example.com", False),
        ("https://slash.example", False),
        ("https://stream.example.com:80", False),
        ("http://stream.example.com:443", False),
        ("http://localhost:5173", False),
        ("null", False),
        ("NULL", False),
        ("file://", False),
        ("file:///", False),
        ("file://stream.example.com", False),
        ("https://app.example.com.evil.example", False),
        ("http://app.example.com", False),
        ("https://app.example.com:8443", False),
        ("ftp://stream.example.com", False),
        ("stream.example.com", False),
        ("https://evil.example", False),
    ],
)
def test_production_lets_its_own_host_and_the_list_in(origin: str | None, allowed: bool) -> None:
    """A list of exact origins, besides the host that was asked for; programs send none."""
    settings = from_keywords(
        environment="production",
        auth_mode="none",
        host="0.0.0.0",
        allowed_origins=[
            "https://app.example.com:443",
            "HTTP://Slash.example:80/",
            "http://[2001:db8::7]:3000",
            "https://b\xfccher.example",
            "capacitor://localhost",
            "tauri://localhost/",
            "chrome-extension://abcdefghijklmnop",
        ],
    )
    policy = OriginPolicy.of(settings)
    for host in ("stream.example.com", "Stream.Example.Com."):
        assert allows(policy, origin, host) is allowed
        assert (origin is None or allows_strictly(policy, origin, host)) is allowed


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("https://md.example.com", "md.example.com:443", True),
        ("http://md.example.com", "md.example.com:80", True),
        ("https://md.example.com:443", "md.example.com", True),
        ("https://md.example.com", "MD.example.com.:443", True),
        ("https://md.example.com:8443", "md.example.com:8443", True),
        ("wss://md.example.com:8443", "md.example.com:08443", True),
        ("https://md.example.com", "md.example.com:", True),
        ("http://[2001:db8::7]:8002", "[2001:db8:0::7]:8002", True),
        ("http://192.168.1.7", "[::ffff:192.168.1.7]:80", True),
        ("https://md.example.com", "md.example.com:80", False),
        ("https://md.example.com", "md.example.com:8443", False),
        ("http://md.example.com", "md.example.com:443", False),
        ("https://md.example.com", "user@md.example.com", False),
        ("https://md.example.com", "md.example.com, md.example.com", False),
        ("capacitor://md.example.com", "md.example.com", False),
        ("https://md.example.com:99999999", "md.example.com", False),
    ],
)
def test_a_page_is_the_servers_own_whatever_the_spelling(
    origin: str, host: str, same: bool
) -> None:
    """Letter case, default ports and a dot at the end make no difference, another port does."""
    policy = OriginPolicy.of(from_keywords(environment="production", auth_mode="none"))
    assert allows(policy, origin, host) is same
    assert allows_strictly(policy, origin, host) is same


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("Example.COM.", "example.com"),
        ("b\xfccher.example", "xn--bcher-kva.example"),
        ("[::FFFF:127.0.0.1]", "127.0.0.1"),
        ("[0::1]", "::1"),
        ("x" * 64 + "\xfc", "x" * 64 + "\xfc"),
    ],
)
def test_a_name_has_one_canonical_form(name: str, same: str) -> None:
    """In ASCII where that can be, as browsers write it."""
    assert canonical(name) == same


def test_an_origin_is_kept_short_in_a_refusal() -> None:
    """A header may have thousands of characters."""
    policy = OriginPolicy.of(from_keywords())
    for origin in ("https://" + "x" * 5000, "x" * 5000):
        with pytest.raises(InvalidInput) as refused:
            policy.check(origin, "localhost")
        assert len(refused.value.message) < 500
    assert Origin.of("https://a/") == Origin("https", "a", 443)


def test_a_star_lets_every_page_in() -> None:
    """ALLOWED_ORIGINS=* is for those who mean it."""
    settings = from_keywords(environment="production", auth_mode="none", allowed_origins=["*"])
    assert allows(OriginPolicy.of(settings), "https://anything.example")


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example.com", True),
        ("https://APP.example.com", True),
        ("https://stream.example.com", True),
        ("https://Stream.Example.com", True),
        (None, False),
        ("", False),
        ("null", False),
        ("http://localhost:5173", False),
        ("https://stream.example.com:8443", False),
        ("https://evil.example", False),
        ("https://stream.example.com, https://evil.example", False),
    ],
)
@pytest.mark.parametrize("environment", ["development", "production"])
def test_what_a_browser_shows_by_itself_is_for_pages_known_by_name(
    origin: str | None, allowed: bool, environment: str
) -> None:
    """Neither a star nor development's kindness counts there, and a page must say what it is."""
    settings = from_keywords(
        environment=environment,
        auth_mode="none",
        allowed_origins=["*", "http://app.example.com:80", "https://app.example.com"],
    )
    policy = OriginPolicy.of(settings)
    assert allows_strictly(policy, origin, "stream.example.com") is allowed


@pytest.mark.parametrize("host", [None, ""])
def test_without_a_host_no_page_is_the_servers_own(host: str | None) -> None:
    """A missing Host equals no origin."""
    policy = OriginPolicy.of(from_keywords(environment="production", auth_mode="none"))
    assert not allows(policy, "https://evil.example", host)
    assert not allows_strictly(policy, "https://evil.example", host)


@given(TEXT, TEXT)
def test_any_origin_is_let_in_or_refused(origin: str, host: str) -> None:
    """Whatever stands in the headers; what is let in strictly is let in."""
    for settings in (
        from_keywords(),
        from_keywords(environment="production", auth_mode="none", host="0.0.0.0"),
    ):
        policy = OriginPolicy.of(settings)
        allowed = allows(policy, origin, host)
        if settings.production and allows_strictly(policy, origin, host):
            assert allowed


LOCAL = [
    "localhost",
    "LOCALHOST:8002",
    "localhost.:8002",
    "127.0.0.1:8002",
    "127.9.9.9",
    "[::1]:8002",
    "[0:0::1]",
    "[::ffff:127.0.0.1]",
    "a.localhost",
]
FOREIGN = [
    "evil.example",
    "evil.example:8002",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "192.168.1.7",
    "[2001:db8::7]",
    "[",
    "[::1",
    "::1]:80",
    "evil.localhost.example",
    "notlocalhost",
    "localhost@evil.example",
    "evil.example@localhost",
    "evil.example#localhost",
    "localhost..",
]


@pytest.mark.parametrize("host", LOCAL)
def test_a_server_for_this_machine_is_reached_under_its_names(host: str) -> None:
    """With any port, in any case."""
    assert answers_to(HostPolicy.of(from_keywords()), host)


@pytest.mark.parametrize("host", FOREIGN)
def test_a_server_for_this_machine_answers_to_no_other_name(host: str) -> None:
    """A page that pointed its own name at this machine sends that name, even without an Origin."""
    assert not answers_to(HostPolicy.of(from_keywords()), host)


def test_a_request_may_have_no_host() -> None:
    """Browsers always send one."""
    assert answers_to(HostPolicy.of(from_keywords()), "")


@pytest.mark.parametrize("host", [*LOCAL, *FOREIGN])
def test_a_server_for_all_answers_to_every_name(host: str) -> None:
    """It can't know its own; production says ALLOWED_HOSTS."""
    assert answers_to(HostPolicy.of(from_keywords(host="0.0.0.0")), host)
    production = from_keywords(environment="production", auth_mode="none")
    assert answers_to(HostPolicy.of(production), host)


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("stream.example.com", True),
        ("Stream.example.com:443", True),
        ("stream.example.com.", True),
        ("stream.example.com.:443", True),
        ("[2001:db8:0::7]:443", True),
        ("192.168.1.7", True),
        ("user@stream.example.com", False),
        ("stream.example.com, stream.example.com", False),
        ("b\xfccher.example", False),
        ("example.com", False),
        ("evil.stream.example.com", False),
        ("stream.example.com.evil.example", False),
        ("localhost", False),
    ],
)
def test_a_list_of_names_is_all_there_are(host: str, answered: bool) -> None:
    """Exact names, with any port."""
    settings = from_keywords(
        environment="production",
        auth_mode="none",
        allowed_hosts=["Stream.Example.com", "2001:db8::7", "192.168.1.7:80"],
    )
    assert answers_to(HostPolicy.of(settings), host) is answered


def test_in_development_a_listed_name_comes_besides_this_machines() -> None:
    """For instance of a tunnel to it."""
    policy = HostPolicy.of(from_keywords(allowed_hosts=["tunnel.example.com"]))
    assert answers_to(policy, "tunnel.example.com")
    assert answers_to(policy, "localhost:8002")
    assert not answers_to(policy, "evil.example")


@given(TEXT)
def test_any_host_is_answered_or_refused(host: str) -> None:
    """Whatever stands in the header."""
    answers_to(HostPolicy.of(from_keywords()), host)
