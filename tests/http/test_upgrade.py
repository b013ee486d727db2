import pytest

from bookcast.http import upgrade

H2C = [(b"connection", b"Upgrade, HTTP2-Settings"), (b"upgrade", b"h2c"), (b"x", b"")]


@pytest.mark.parametrize(
    ("method", "version", "offered", "asks"),
    [
        (b"GET", "1.1", [b"websocket"], True),
        (b"GET", "1.1", [b"WebSocket"], True),
        (b"GET", "1.1", [b"h2c, websocket"], True),
        (b"GET", "1.1", [b"h2c", b" ,websocket"], True),
        (b"GET", "1.0", [b"websocket"], False),
        (b"POST", "1.1", [b"websocket"], False),
        (b"GET", "1.1", [b"h2c"], False),
        (b"GET", "1.1", [b"websocket2"], False),
        (b"GET", "1.1", [b'"websocket"'], False),
        (b"GET", "1.1", [b""], False),
    ],
)
def test_a_handshake_is_a_get_that_offers_to_speak_websocket(
    method: bytes, version: str, offered: list[bytes], asks: bool
) -> None:
    """Among other protocols or alone, in any letter case, not over HTTP/1.0."""
    headers = [(b"upgrade", one) for one in offered]
    assert upgrade.is_handshake(method, version, headers) is asks


@pytest.mark.parametrize(
    ("name", "value", "announced"),
    [
        (b"content-length", b"5", True),
        (b"content-length", b"10", True),
        (b"content-length", b"0", False),
        (b"content-length", b"00", False),
        (b"transfer-encoding", b"chunked", True),
        (b"content-type", b"5", False),
    ],
)
def test_a_head_announces_a_body(name: bytes, value: bytes, announced: bool) -> None:
    """By its length or by chunks; a length of 0 announces none."""
    assert upgrade.has_body([(b"host", b"a"), (name, value)]) is announced


def test_a_head_is_written_again_without_its_offer() -> None:
    """Everything else stays, in order."""
    head = upgrade.without_offer(b"POST", b"/a?b", "1.1", H2C)
    assert head == b"POST /a?b HTTP/1.1\r\nconnection: Upgrade, HTTP2-Settings\r\nx: \r\n\r\n"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (b"", None),
        (b" , ,, ", None),
        (b"permessage-deflate,", b"permessage-deflate"),
        (b",a, ,b", b"a, b"),
        (b'a; x="1,2", ,b', b'a; x="1,2", b'),
        (b'a; x="1\\",2",b', b'a; x="1\\",2", b'),
        (b'"', b'"'),
    ],
)
@pytest.mark.parametrize("name", [b"sec-websocket-extensions", b"sec-websocket-protocol"])
def test_a_list_without_elements_says_nothing(
    name: bytes, value: bytes, kept: bytes | None
) -> None:
    """Of others, the empty elements go; a quoted string may hold commas."""
    head = upgrade.handshake_head(b"/", [(b"host", b"a,,b"), (name, value)])
    lines = [b"GET / HTTP/1.1", b"upgrade: websocket", b"host: a,,b"]
    assert head.split(b"\r\n") == [*lines, *([name + b": " + kept] if kept else []), b"", b""]
