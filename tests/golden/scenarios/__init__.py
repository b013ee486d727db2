"""The scenarios: scripts of what clients, publishers and Redis do."""

from __future__ import annotations

import importlib

from tests.golden.scenarios.base import SCENARIOS, Scenario

_MODULES = (
    "views",
    "slow",
    "coming_back",
    "positions",
    "intervals",
    "all_books",
    "rights",
    "outages",
    "nodes",
)

for _module in _MODULES:
    importlib.import_module(f"{__name__}.{_module}")

__all__ = ["SCENARIOS", "Scenario"]
