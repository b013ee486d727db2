"""The names of the two protocols, as view specs have them."""

from typing import Final

BASE: Final = "base"
V1: Final = "v1"
