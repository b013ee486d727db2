"""Writes the table of all settings in docs/settings.md.

python -m scripts.settings_table
"""

from __future__ import annotations

import re
from pathlib import Path

from bookcast.settings import PRODUCTION_DEFAULTS, Description, describe

DOCUMENT = Path(__file__).parent.parent / "docs" / "settings.md"


def _default(description: Description) -> str:
    def written(value: object) -> str:
        return "not set" if value in {None, "", ()} else f"`{description.text(value)}`"

    text = written(description.default)
    if description.field in PRODUCTION_DEFAULTS:
        text += f" (production: {written(PRODUCTION_DEFAULTS[description.field])})"
    return text


def table() -> str:
    """Return the table in Markdown."""
    rows = ["| setting | flag | default | what it does |", "|---|---|---|---|"]
    for description in describe():
        choices = f" (`{'`, `'.join(description.choices)}`)" if description.choices else ""
        secret = "; also `" + description.environment_name + "_FILE`" if description.secret else ""
        rows.append(
            f"| `{description.environment_name}` | `{description.flag}` | {_default(description)} "
            f"| {description.help}{choices}{secret} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    text = DOCUMENT.read_text()
    DOCUMENT.write_text(re.sub(r"\| setting \|.*\n(\|.*\n)+", lambda _: table() + "\n", text))
