import pytest

from bookcast.errors import SettingError
from bookcast.settings import load


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"ALLOWED_ORIGINS": "app.example.com"}, "ALLOWED_ORIGINS has 'app.example.com'"),
        ({"ALLOWED_ORIGINS": "https://a.example/path"}, "with no path"),
        ({"ALLOWED_ORIGINS": "https://*.a.com"}, "no wildcard"),
        ({"ALLOWED_ORIGINS": "https://a b"}, "ALLOWED_ORIGINS has 'https://a b'"),
        ({"ALLOWED_ORIGINS": "https://:"}, "ALLOWED_ORIGINS has 'https://:'"),
        ({"HOST": "*"}, "0.0.0.0 listens everywhere"),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS has '*' (from the environment); write names"),
        ({"ALLOWED_HOSTS": "a.com,https://b.com"}, "ALLOWED_HOSTS has 'https://b.com'"),
        ({"ALLOWED_HOSTS": "*.a.com"}, "no scheme, path or wildcard"),
        ({"ALLOWED_HOSTS": "a.com/"}, "ALLOWED_HOSTS has 'a.com/'"),
        (
            {"TRUSTED_PROXIES": "10.0.0.0/33"},
            "TRUSTED_PROXIES has '10.0.0.0/33' (from the environment)",
        ),
        ({"ADMIN_ALLOW": "::1,lan"}, "ADMIN_ALLOW has 'lan' (from the environment); a network is"),
    ],
)
def test_what_is_no_address_is_refused(environ: dict[str, str], sentence: str) -> None:
    """The sentence has what is wrong, and what to write."""
    with pytest.raises(SettingError) as caught:
        load({}, environ, None)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    ["a.com", "A.com.", "a.com:8002", "münchen.example", "::1", "[::1]", "[fe80::1]:80", "1.2.3.4"],
)
def test_a_host_may_be_a_name_or_an_address(host: str) -> None:
    """With a port or without, as a Host header has it."""
    assert load({}, {"ALLOWED_HOSTS": host}, None).settings.allowed_hosts == (host,)
