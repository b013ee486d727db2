"""Reads the ``.env`` file. A line that looks like a setting but sets nothing is an error.

Other programs may use the same file, so names that aren't close to a setting's are ignored. No
message repeats the text of a line, which may be a secret.
"""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from bookcast.errors import SettingError
from bookcast.settings.files import read_bytes
from bookcast.settings.names import nearest

NEWLINE: Final = re.compile(r"\r\n|\n|\r")
NAME: Final = re.compile(r"[\w.-]+")
ASSIGNMENT: Final = re.compile(r"\s*(?:export\s+)?(\w+)\s*=")
COMMENT: Final = re.compile(r"(?:^|\s)#.*")


def read_env_file(path: Path, known: Collection[str]) -> Mapping[str, str | None]:
    """Return the values of the file by name; empty if there is no file.

    Raises:
        SettingError: for a file that isn't text, and for a line that has one of the ``known``
            names, or a similar one, but doesn't set it.
    """
    # A password manager may serve the file as a named pipe, which can be read once.
    if not (path.is_file() or path.is_fifo()):
        return {}
    bindings = list(parse_stream(io.StringIO(_text(path))))
    for binding in bindings:
        for line, fault in _faults(binding, known):
            raise SettingError(f"{path}, line {line}: {fault}")
    readable = "".join(one.original.string for one in bindings if not one.error)
    values = dotenv_values(stream=io.StringIO(readable))
    for binding in bindings:
        key, value = binding.key or "", binding.value or ""
        if key in known and "${" in value and ":-" not in value and not values[key]:
            fault = f"{key} comes out empty: nothing sets the variable that it refers to"
            raise SettingError(f"{path}, line {_lines(binding)[0][0]}: {fault}")
    return values


def _text(path: Path) -> str:
    try:
        content = read_bytes(path)
    except OSError as error:
        raise SettingError(f"The file {path} can't be read: {error}") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingError(f"The file {path} can't be read: {error}; save it as UTF-8") from None
    if "\x00" in text:
        raise SettingError(f"The file {path} can't be read: it has zero bytes; save it as UTF-8")
    # Joined files have the byte order mark of the second one in the middle.
    return re.sub("^\ufeff+", "", text, flags=re.MULTILINE)


def _lines(binding: Binding) -> list[tuple[int, str]]:
    """Return the lines of a statement and their numbers, without the blank ones before it."""
    written = binding.original.string.lstrip()
    blank = binding.original.string.removesuffix(written)
    first = binding.original.line + len(NEWLINE.findall(blank))
    return list(enumerate(NEWLINE.split(written), first))


def _faults(binding: Binding, known: Collection[str]) -> Iterator[tuple[int, str]]:
    """Yield the number of each line that should set something but doesn't, and why."""
    lines, key, value = _lines(binding), binding.key, binding.value
    if binding.error or (key is not None and (value is None or not NAME.fullmatch(key))):
        yield from _malformed(lines, known)
        return
    if key is None:  # a comment, or nothing
        return
    first = lines[0][0]
    if key not in known and (meant := nearest(key, known)):
        yield first, _misspelt(key, meant)
    for number, line in lines[1:]:
        # An unclosed quote extends to the next quote, over all lines in between.
        within = ASSIGNMENT.match(line)
        if within and within[1] in known:
            place = f"within the quotes that line {first} opens"
            yield number, f"{within[1]} stands {place}; close them there"


def _malformed(lines: list[tuple[int, str]], known: Collection[str]) -> Iterator[tuple[int, str]]:
    for number, line in lines:
        code = COMMENT.sub("", line)
        for word in re.findall(r"\w+", code):
            if word in known:
                right = f"{word}=value, with quotes closed"
                yield number, f"{word} is not set by this; write {right}, or put a # before it"
        for name in _names(code):
            if meant := nearest(name, known):
                yield number, _misspelt(name, meant)


def _names(code: str) -> Iterator[str]:
    """Yield what may be meant as a name: all text before the sign, its last word, its first."""
    before = re.split("[=:]", code, maxsplit=1)[0].strip()
    yield before
    words = re.findall(r"[\w.-]+", before)
    yield from words[-1:] + words[:1]


def _misspelt(name: str, meant: str) -> str:
    return f"{name} is no setting, but nearly {meant}; correct it, or put a # before it"
