"""All settings. ``schema`` declares them, ``load`` reads them, ``check`` applies the ``rules``."""

from bookcast.settings.check import check
from bookcast.settings.describe import ALIASES, COMMON, Description, describe
from bookcast.settings.load import Loaded, from_keywords, load
from bookcast.settings.schema import PRODUCTION_DEFAULTS, Names, Settings
from bookcast.settings.sources import FROM_FILE, with_source

__all__ = [
    "ALIASES",
    "COMMON",
    "FROM_FILE",
    "PRODUCTION_DEFAULTS",
    "Description",
    "Loaded",
    "Names",
    "Settings",
    "check",
    "describe",
    "from_keywords",
    "load",
    "with_source",
]
