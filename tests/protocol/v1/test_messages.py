import re
from typing import get_args

import msgspec
import pytest

from bookcast.errors import ERRORS
from bookcast.protocol.v1 import messages as v1
from tests.support import ROOT

MESSAGES = get_args(v1.Message)
COMMANDS = get_args(v1.Command)


@pytest.mark.parametrize("message", [*MESSAGES, *COMMANDS], ids=lambda message: message.__name__)
def test_every_message_is_documented_with_all_its_fields(message: type[msgspec.Struct]) -> None:
    """docs/protocol-v1.md names each message's word on the wire, and each field."""
    text = (ROOT / "docs" / "protocol-v1.md").read_text()
    words = set(re.findall(r"[a-z_0-9]+", text))
    assert message.__struct_config__.tag in words
    for field in msgspec.structs.fields(message):
        assert field.encode_name in words


def test_every_error_code_is_documented() -> None:
    """A program can look up what it may meet."""
    text = (ROOT / "docs" / "protocol-v1.md").read_text()
    assert [code for code in ERRORS if f"`{code}`" not in text] == []


def test_words_on_the_wire_are_unique() -> None:
    """A reader can tell messages apart by them."""
    for structs in (MESSAGES, COMMANDS):
        tags = [struct.__struct_config__.tag for struct in structs]
        assert len(set(tags)) == len(tags)
