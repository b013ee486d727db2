"""The names of the two protocols, as views have them."""

from typing import Final

BASE: Final = "base"
V1: Final = "v1"
