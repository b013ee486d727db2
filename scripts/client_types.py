"""Generates TypeScript from the server's types: message types, close codes, error codes.

python -m scripts.client_types        writes them for clients/typescript, of which the page is built
"""

from __future__ import annotations

import json
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from bookcast.errors import CLOSE_REASONS, ERRORS, FINAL_CODES
from bookcast.ingest import schemas
from bookcast.model.feed_state import QuotaPool, TopicState
from bookcast.model.market_data import GreyMarket, OptionStyle, TradingSession
from bookcast.model.topics import Channel, ChannelName, Period, PeriodName, VariantName
from bookcast.protocol import header
from bookcast.protocol.base import messages as base
from bookcast.protocol.v1 import messages as v1

ROOT: Final = Path(__file__).parent.parent
CLIENT: Final = ROOT / "clients" / "typescript" / "src"

_MADE: Final = "// Made from the server's own types by `make fix`: don't edit.\n"

_ALIASES: Final[tuple[tuple[str, Any], ...]] = (
    ("Channel", Channel),
    ("Period", Period),
    ("TradingSession", TradingSession),
    ("OptionStyle", OptionStyle),
    ("GreyMarket", GreyMarket),
    ("QuotaPool", QuotaPool),
    ("State", TopicState),
    ("LimitedBy", v1.LimitedBy),
    ("Variant", VariantName),
    ("Ts", header.Ts),
    ("Id", v1.Id),
)
_NAMED: Final = (
    *_ALIASES,
    ("Channel", ChannelName),
    ("Period", PeriodName),
    ("ErrorCode", v1.ErrorCode),
)
"""Types that have a name in TypeScript too. All others are written out."""

_DATA: Final = {(v1.Publish, "data"): "Publication[Channel]"}
"""Fields without a precise Python type, since they are decoded separately."""

_OVER_HTTP: Final = frozenset({"request_timeout", "unknown_symbol", "too_many_reads", "not_ready"})
"""Errors that don't occur over WebSocket."""

_PLAIN: Final = {
    Any: "unknown",
    bool: "boolean",
    float: "number",
    int: "number",
    msgspec.Raw: "unknown",
    str: "string",
    type(None): "null",
}


def _words(*words: str) -> str:
    return " | ".join(json.dumps(word) for word in words)


def _comment(text: str | None, indent: str = "") -> str:
    """Return a docstring as a TypeScript comment."""
    text = textwrap.dedent("    " + (text or "")).strip()
    for ours, theirs in (("``", "`"), ("None", "absent"), ("False", "false"), ("True", "true")):
        text = text.replace(ours, theirs)
    if "\n" not in text:
        return f"{indent}/** {text} */\n" if text else ""
    lines = "".join(f"{indent} * {line}".rstrip() + "\n" for line in text.splitlines())
    return f"{indent}/**\n{lines}{indent} */\n"


class Module:
    """A TypeScript module: it collects declarations of types and of the types in them."""

    def __init__(self) -> None:
        self._declared: dict[str, str] = {}
        self._structs: dict[str, type] = {}

    def text(self) -> str:
        """Return all declarations, in the order in which they were first referred to."""
        return "\n".join(self._declared.values())

    def declare(self, name: str, text: str) -> None:
        """Add a declaration."""
        self._declared[name] = text

    def union(self, name: str, doc: str, kind: Any, prefix: str = "") -> None:
        """Add a declaration of each Struct of a union, then of the union."""
        names = [self._reference(each, prefix) for each in get_args(kind)]
        members = "".join(f"\n  | {each}" for each in names)
        self.declare(name, f"{_comment(doc)}export type {name} ={members};\n")

    def write(self, kind: Any) -> str:
        """Return the TypeScript of a type: its name, or the type written out."""
        for name, named in _NAMED:
            if kind == named:
                return name
        return self.spell(kind)

    def spell(self, kind: Any) -> str:
        """Return the TypeScript of a type, written out."""
        if kind in _PLAIN:
            return _PLAIN[kind]
        spellers: dict[Any, Callable[..., str]] = {
            Annotated: self._annotated,
            Literal: _words,
            Union: self._union,
            types.UnionType: self._union,
            list: self._array,
            tuple: self._tuple,
            None: lambda: self._reference(kind),
        }
        return spellers[get_origin(kind)](*get_args(kind))

    def _annotated(self, kind: Any, *metas: Any) -> str:
        """Return a type; its JSON schema counts if it is more precise."""
        for meta in metas:
            schema = (isinstance(meta, msgspec.Meta) and meta.extra_json_schema) or {}
            if "enum" in schema:
                return _words(*schema["enum"])
            if kind is Any and schema == {"type": "string"}:
                return "string"
        return self.write(kind)

    def _union(self, *kinds: Any) -> str:
        texts = (self.write(kind) for kind in kinds if kind is not msgspec.UnsetType)
        return " | ".join(dict.fromkeys(texts))

    def _array(self, kind: Any) -> str:
        item = self.write(kind)
        return f"({item})[]" if "|" in item else f"{item}[]"

    def _tuple(self, *kinds: Any) -> str:
        if kinds[-1] is Ellipsis:
            return self._array(kinds[0])
        return f"[{', '.join(f'{_title(kind)}: {self.write(kind)}' for kind in kinds)}]"

    def _reference(self, struct: type, prefix: str = "") -> str:
        """Return the name of a Struct or named tuple, and declare it."""
        name = prefix + struct.__name__
        assert self._structs.setdefault(name, struct) is struct, f"two types named {name}"
        if name not in self._declared:
            self._declared[name] = ""  # reserves its place, since it may refer to itself
            self._declared[name] = self._struct(name, struct)
        return name

    def _struct(self, name: str, struct: Any) -> str:
        """Return the declaration of a Struct or named tuple. Arrays have no names on the wire."""
        config = getattr(struct, "__struct_config__", None)
        fields = self._fields(struct)
        doc = _comment(struct.__doc__)
        if config is None or config.array_like:
            return f"{doc}export type {name} = [{', '.join(fields)}];\n"
        if config.tag_field is not None:
            fields.insert(0, f"{config.tag_field}: {json.dumps(config.tag)}")
        lines = "".join(f"  {field};\n" for field in fields)
        return f"{doc}export interface {name} {{\n{lines}}}\n"

    def _fields(self, struct: Any) -> list[str]:
        """Return the fields. Those with a default may be absent.

        If the server omits fields with their default value, null is never sent.
        """
        hints = get_type_hints(struct, include_extras=True)
        config = getattr(struct, "__struct_config__", None)
        if config is None:
            required = {name: name not in struct._field_defaults for name in hints}
        else:
            required = {field.name: field.required for field in msgspec.structs.fields(struct)}
        never_null = config is None or config.omit_defaults
        written = []
        for name, is_required in required.items():
            kind = _DATA.get((struct, name)) or self.write(hints[name])
            if never_null and not is_required:
                kind = kind.removesuffix(" | null")
            written.append(f"{name}{'' if is_required else '?'}: {kind}")
        return written


def _title(kind: Any) -> str:
    """Return the name of a tuple's element."""
    [meta] = get_args(kind)[1:]
    return str(meta.title)


def messages() -> str:
    """Return the module with the types of all messages."""
    module = Module()
    for name, kind in _ALIASES:
        module.declare(name, f"export type {name} = {module.spell(kind)};\n")
    module.union("Command", "The messages that a client of `bookcast.v1` sends.", v1.Command)
    module.union("Message", "The messages that a client of `bookcast.v1` receives.", v1.Message)
    channels = "".join(
        f"  {channel}: {module.write(struct)};\n" for channel, struct in schemas.PUBLISHED.items()
    )
    module.declare(
        "Publication",
        f"/** The data to publish, by channel. */\nexport interface Publication {{\n{channels}}}\n",
    )
    module.union("BaseCommand", "The messages that a base client sends.", base.Command, "Base")
    module.union("BaseMessage", "The messages that a base client receives.", base.Message, "Base")
    return f'{_MADE}\nimport type {{ ErrorCode }} from "./codes.js";\n\n{module.text()}'


def close_codes() -> str:
    """Return the close codes, and which of them are final."""
    codes = "".join(
        f"/** The connection was closed: {reason.reason}. */\n"
        f"export const {code.name} = {int(code)};\n"
        for code, reason in CLOSE_REASONS.items()
    )
    final = [int(code) for code, reason in CLOSE_REASONS.items() if not reason.reconnect]
    others = "".join(f"code === {code} || " for code in final if code not in FINAL_CODES)
    return f"""{_MADE}
{codes}
/** Whether a client should not reconnect after this close code. */
export function isFinal(code: number): boolean {{
  return {others}(code >= {FINAL_CODES.start} && code < {FINAL_CODES.stop});
}}
"""


def error_codes() -> str:
    """Return the error codes, and which of them allow a retry."""
    codes = "".join(
        f"\n  /** {kind.title} */\n  | {json.dumps(code)}" for code, kind in ERRORS.items()
    )
    retry = _listed([c for c, kind in ERRORS.items() if kind.retry and c not in _OVER_HTTP])
    return f"""
/** Error codes. A newer server may send others. */
export type ErrorCode ={codes};

const RETRY: readonly string[] = [
{retry}];

/** Whether a later retry of the same request may succeed. Other errors need a correction first. */
export function mayRetry(code: string): boolean {{
  return RETRY.includes(code);
}}
"""


def _listed(words: list[str]) -> str:
    return "".join(f"  {json.dumps(word)},\n" for word in words)


def files() -> dict[Path, str]:
    """Return the content of each generated file, by path."""
    return {
        CLIENT / "messages.ts": messages(),
        CLIENT / "codes.ts": close_codes() + error_codes(),
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
