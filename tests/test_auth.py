import pytest

from bookcast.auth import OriginPolicy
from bookcast.errors import InvalidInput
from bookcast.settings import from_keywords


def allows(policy: OriginPolicy, origin: str | None, host: str = "127.0.0.1:8002") -> bool:
    try:
        policy.check(origin, host)
    except InvalidInput as refusal:
        assert "ALLOWED_ORIGINS" in refusal.message
        return False
    return True


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("null", True),
        ("http://localhost:5173", True),
        ("http://127.0.0.1:3000", True),
        ("http://[::1]:3000", True),
        ("https://evil.example", False),
        ("http://localhost.evil.example", False),
        ("http://[", False),
    ],
)
def test_development_lets_pages_of_this_machine_in(origin: str | None, allowed: bool) -> None:
    """Any localhost port, files and programs may; pages from elsewhere may not."""
    assert allows(OriginPolicy.of(from_keywords()), origin) is allowed


def test_a_name_pointed_at_this_machine_is_not_trusted() -> None:
    """In development a page that rebinds its own name to loopback isn't the server's own."""
    policy = OriginPolicy.of(from_keywords())
    assert not allows(policy, "http://evil.example:8002", host="evil.example:8002")


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("https://app.example.com", True),
        ("https://APP.example.com", True),
        ("https://stream.example.com", True),
        ("http://localhost:5173", False),
        ("null", False),
        ("https://app.example.com.evil.example", False),
        ("https://evil.example", False),
    ],
)
def test_production_lets_its_own_host_and_the_list_in(origin: str | None, allowed: bool) -> None:
    """A list of exact origins, besides the host that was asked for; programs send none."""
    settings = from_keywords(
        environment="production",
        auth_mode="none",
        host="0.0.0.0",
        allowed_origins=["https://app.example.com:443"],
    )
    assert allows(OriginPolicy.of(settings), origin, host="stream.example.com") is allowed


def test_a_star_lets_every_page_in() -> None:
    """ALLOWED_ORIGINS=* is for those who mean it."""
    settings = from_keywords(environment="production", auth_mode="none", allowed_origins=["*"])
    assert allows(OriginPolicy.of(settings), "https://anything.example")
