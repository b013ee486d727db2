from typing import Any, get_origin, get_type_hints

from bookcast.settings import ALIASES, Settings
from bookcast.settings.keywords import Keywords, Names


def as_keyword(kind: Any) -> Any:
    """Return the type of a keyword for a setting: a list will do where the setting is a tuple."""
    return Names if get_origin(kind) is tuple else kind


def test_the_keywords_are_the_settings() -> None:
    """With their types, and their short names."""
    settings = {name: as_keyword(kind) for name, kind in get_type_hints(Settings).items()}
    settings |= {name: settings[field] for name, field in ALIASES.items()}
    assert get_type_hints(Keywords) == settings
