"""The page's table of close codes, made from the one in errors.py.

python -m scripts.close_codes        writes web/src/closecodes.ts
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bookcast.errors import CLOSE_REASONS, FINAL_CODES, CloseCode

MODULE: Final = Path(__file__).parent.parent / "web" / "src" / "closecodes.ts"


def source() -> str:
    """Write the table in TypeScript."""
    final = ", ".join(str(int(c)) for c, reason in CLOSE_REASONS.items() if not reason.reconnect)
    return f"""// Made from src/bookcast/errors.py by `make fix`: don't edit.

export const TOKEN_EXPIRED = {int(CloseCode.TOKEN_EXPIRED)};
export const NOT_AUTHENTICATED = {int(CloseCode.REFUSED)};

const FINAL: readonly number[] = [{final}];

/** Whether a client should stay away after this close code, instead of coming back by itself. */
export function isFinal(code: number): boolean {{
  return FINAL.includes(code) || (code >= {FINAL_CODES.start} && code < {FINAL_CODES.stop});
}}
"""


if __name__ == "__main__":
    MODULE.write_text(source())
