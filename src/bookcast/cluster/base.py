"""The four ports of a cluster in one value."""

from __future__ import annotations

import msgspec

from bookcast.backplane.unreadable_log import UnreadableLog
from bookcast.cluster.demand.base import Demand
from bookcast.cluster.election.base import Election
from bookcast.cluster.feed_status.base import FeedStatusBoard
from bookcast.cluster.members.base import Members


class Cluster(msgspec.Struct, frozen=True):
    """The ports of a node: all memory twins for a single node, else all Redis twins.

    ``unreadable`` counts what other nodes sent and this one can't read.
    """

    members: Members
    election: Election
    demand: Demand
    feed_status: FeedStatusBoard
    unreadable: UnreadableLog
