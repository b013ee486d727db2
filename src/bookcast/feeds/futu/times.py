"""The intervals of the Futu feed."""

from __future__ import annotations

from typing import ClassVar

from bookcast.timing import Times


class FutuTimes(Times, frozen=True, kw_only=True):
    """How often OpenD is asked for what, and how long it may take. What OpenD limits isn't here.

    Attributes:
        connect_seconds: OpenD, which usually runs next door, accepts a connection and answers
            within this.
        attempt_seconds: an OpenD that doesn't answer is tried once more beside after this.
        answer_seconds: a request is answered within this.
        optional_seconds: the same for what can be done without.
        quick_seconds: the same for what is left of the quota, which subscriptions wait to learn.
        silence_seconds: after so long without a byte OpenD is asked whether it is there; as long
            again, and it is not.
        watch_seconds: how often that is looked at.
        first_push_seconds: what OpenD has of a topic, or what is traded although its market is said
            to be closed, comes within this after it was subscribed.
        rights_seconds: a refusal isn't told for so long, since the right that is missing may be
            found out.
        first_check_seconds: OpenD is asked so soon what it really has subscribed.
        check_seconds: it is asked so often from then on.
        fill_seconds: new trades and candles wait so long for the past ones that were asked for.
        fill_turn_seconds: how often it is looked whether they have to.
        markets_seconds: how often OpenD is asked for the markets' states.
        troubled_seconds: the same while OpenD isn't logged in.
        securities_seconds: how often it is looked whether a security's state is to be asked for.
        polls_seconds: how often it is looked whether snapshots are to be asked for.
        quiet_seconds: a topic without a push for so long in an open market may be suspended.
        halts_seconds: how often quiet symbols are looked at.
        endings_seconds: how often it is looked whether a session has ended.
        corrections_seconds: a candle is final so long after its session ended.
        rest_seconds: a kind of request that isn't answered isn't made for so long: not every OpenD
            knows every request, and some are slow at times.
        lists_seconds: a list of securities is asked for again after this; they change over night.
        lists_retry_seconds: the same for one that OpenD didn't give.
        list_seconds: it takes no longer to give one.
        search_seconds: no search waits longer for lists.
        lookup_seconds: nor for what one code stands for, or for price steps.
    """

    LONGER: ClassVar = (
        ("silence_seconds", 1, "watch_seconds"),
        ("answer_seconds", 1, "fill_seconds"),
        ("fill_seconds", 1, "fill_turn_seconds"),
        ("corrections_seconds", 1, "endings_seconds"),
        ("list_seconds", 1, "search_seconds"),  # who searches again finds what took longer
        ("lists_seconds", 1, "lists_retry_seconds"),
    )

    connect_seconds: float = 5.0
    attempt_seconds: float = 1.0
    answer_seconds: float = 8.0
    optional_seconds: float = 2.0
    quick_seconds: float = 0.5
    silence_seconds: float = 4.0
    watch_seconds: float = 0.5
    first_push_seconds: float = 5.0
    rights_seconds: float = 1.0
    first_check_seconds: float = 1.0
    check_seconds: float = 30.0
    fill_seconds: float = 1.0
    fill_turn_seconds: float = 0.05
    markets_seconds: float = 10.0
    troubled_seconds: float = 2.0
    securities_seconds: float = 0.25
    polls_seconds: float = 0.1
    quiet_seconds: float = 20.0
    halts_seconds: float = 30.0
    endings_seconds: float = 1.0
    corrections_seconds: float = 10.0
    rest_seconds: float = 120.0
    lists_seconds: float = 12 * 3600.0
    lists_retry_seconds: float = 60.0
    list_seconds: float = 10.0
    search_seconds: float = 2.0
    lookup_seconds: float = 1.0
