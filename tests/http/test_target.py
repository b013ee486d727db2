import pytest

from bookcast.http.target import plain_target


@pytest.mark.parametrize(
    ("url", "target", "host"),
    [
        (b"/livez?a", b"/livez?a", b"other"),
        (b"http://Ours:80/livez?a=http://b//", b"/livez?a=http://b//", b"Ours:80"),
        (b"WSS://ours", b"/", b"ours"),
        (b"https://ours?a", b"/?a", b"ours"),
        (b"https://[::1]:8002//ws/me/", b"/ws/me", b"[::1]:8002"),
        (b"http://user@ours/", b"http://user@ours/", b"other"),
        (b"http://[/livez", b"http://[/livez", b"other"),
        (b"http:///livez", b"http:///livez", b"other"),
        (b"*", b"*", b"other"),
        (b"ours:80", b"ours:80", b"other"),
    ],
)
def test_a_host_in_the_target_counts_more_than_the_header(
    url: bytes, target: bytes, host: bytes
) -> None:
    """As clients write it that take the server for a proxy."""
    said, headers = plain_target(url, [(b"x", b"y"), (b"host", b"other"), (b"host", b"other")])
    assert said == target
    assert {value for name, value in headers if name == b"host"} == {host}


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (b"/", b"/"),
        (b"//", b"/"),
        (b"/ws/me/", b"/ws/me"),
        (b"/ws/me/?symbols=A/", b"/ws/me?symbols=A/"),
        (b"//ws//me", b"/ws/me"),
        (b"/ws/a%2F", b"/ws/a%2F"),
        (b"/ws/a%2F/", b"/ws/a%2F"),
        (b"/?//", b"/?//"),
        (b"//evil.example/..", b"/evil.example/.."),
    ],
)
def test_a_slash_too_many_says_nothing(url: bytes, target: bytes) -> None:
    """In the path alone, and unless it is encoded."""
    assert plain_target(url, [])[0] == target
