"""What nodes send to their own clients while Redis is away, under their own epochs."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from tests.history.history import FAULTS_OF_LINKS, FAULTS_OF_REDIS, LOCAL, Attempt
from tests.history.judgement import AFTERMATH, Judgement, name

CAUSES = FAULTS_OF_REDIS | FAULTS_OF_LINKS | {"node paused"}
"""A node that hung for a moment may take Redis for away: it didn't hear the answer in time."""

NOTICED_SECONDS = 2.0
"""So long a node may take until it knows that Redis is away."""

_decode = msgspec.json.Decoder().decode


def check(judgement: Judgement) -> None:
    """Check what was published locally, to whom it was shown, and when."""
    _check_answers(judgement)
    shown_by: dict[str, str] = {}
    for track in judgement.history.tracks:
        # Who reads slowly may hear of an outage long after it, when its connection is gone already.
        aftermath = math.inf if "slow" in track.name else AFTERMATH
        for event in track.events:
            if event.what != "heard" or LOCAL.encode() not in bytes(event.message):
                continue
            message: Any = _decode(event.message)
            epoch = message.get("epoch") or ""
            if "data" not in message or not epoch.startswith(LOCAL):
                continue
            topic = f"{message['channel']}:{message['symbol']}"
            if not judgement.was(CAUSES, event.at - aftermath, event.at):
                detail = f"{epoch} {message['seq']}, and no outage"
                judgement.report("local without an outage", track.name, topic, event.at, detail)
            node = shown_by.setdefault(epoch, event.node)
            if node != event.node:
                detail = f"{epoch} is shown by {node} and {event.node}"
                judgement.report("local, and elsewhere", track.name, topic, event.at, detail)


def may_be_twice(judgement: Judgement, attempt: Attempt) -> bool:
    """Return whether something was published locally, and may be in Redis as well.

    That is so where Redis was asked first, and its answer never came: it was asked as long as
    nobody knew of the outage. Its publisher may have got no answer either.
    """
    unknown = attempt.outcome == "unknown" and "local" in judgement.history.modes
    ended = attempt.began + NOTICED_SECONDS if unknown else attempt.ended
    return (unknown or attempt.epoch.startswith(LOCAL)) and any(
        fault.at < ended and attempt.began < fault.at + NOTICED_SECONDS
        for fault in judgement.history.faults
        if fault.what in CAUSES and fault.until >= attempt.began
    )


def _check_answers(judgement: Judgement) -> None:
    for one in judgement.history.attempts:
        if one.outcome != "ok" or not one.epoch.startswith(LOCAL):
            continue
        detail = f"{name(one)} is {one.epoch} {one.seq}"
        if "local" not in judgement.history.modes:
            judgement.report("local, not asked for", one.who, one.topic, one.ended, detail)
        elif not judgement.was(CAUSES, one.began - AFTERMATH, one.ended):
            judgement.report("local without an outage", one.who, one.topic, one.ended, detail)
