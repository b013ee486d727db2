import pytest

from bookcast.transport.fragments import Assembly


def test_fragments_are_one_message() -> None:
    """A character may be split between them."""
    text = "日本".encode()
    assembly = Assembly(is_text=True)
    for at, byte in enumerate(text):
        assembly.add(bytes([byte]), last=at == len(text) - 1)
    assert (assembly.whole(), len(assembly)) == (text, len(text))


def test_a_fault_in_a_text_is_found_in_its_fragment() -> None:
    """Or at the end, when a character isn't finished; what isn't text has none."""
    assembly = Assembly(is_text=True)
    assembly.add(b"good", last=False)
    with pytest.raises(UnicodeDecodeError):
        assembly.add(b"\xff", last=False)
    unfinished = Assembly(is_text=True)
    with pytest.raises(UnicodeDecodeError):
        unfinished.add("日".encode()[:2], last=True)
    binary = Assembly(is_text=False)
    binary.add(b"\xff", last=True)
    assert binary.whole() == b"\xff"
