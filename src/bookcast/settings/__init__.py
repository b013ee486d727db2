"""Every setting: declared in ``schema``, read in ``load``, held against each other in ``check``."""

from bookcast.settings.check import MIN_SECRET_BYTES, check, is_loopback
from bookcast.settings.describe import Description, describe
from bookcast.settings.load import FROM_FILE, Loaded, from_keywords, load, with_source
from bookcast.settings.schema import ALIASES, COMMON, PRODUCTION_DEFAULTS, Names, Settings

__all__ = [
    "ALIASES",
    "COMMON",
    "FROM_FILE",
    "MIN_SECRET_BYTES",
    "PRODUCTION_DEFAULTS",
    "Description",
    "Loaded",
    "Names",
    "Settings",
    "check",
    "describe",
    "from_keywords",
    "is_loopback",
    "load",
    "with_source",
]
