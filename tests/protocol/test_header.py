from bookcast.model.updates import Position, Update
from bookcast.protocol.header import (
    iso_utc,
    position_fields,
    server_time,
    times,
    topic_fields,
    update_header,
    variant_field,
)
from tests.support import AAPL, CANDLES, TRADES, trades

ODD_LOTS = AAPL._replace(variant="odd")
SEEN = Update(TRADES, Position("e", 7), trades(1), server_ms=30, exchange_ms=10, feed_ms=20)


def test_a_topic_is_named_in_the_clients_spelling() -> None:
    """Candles have their period beside it, books of odd lots their variant."""
    assert topic_fields(TRADES, "AAPL") == {"channel": "trades", "symbol": "AAPL"}
    assert topic_fields(CANDLES, "US.AAPL") == {
        "channel": "candles",
        "symbol": "US.AAPL",
        "period": "1m",
    }
    assert topic_fields(ODD_LOTS, "A") == {
        "channel": "orderbook",
        "symbol": "A",
        "variant": "odd",
    }
    assert variant_field(AAPL) == {}


def test_a_topic_of_which_nothing_is_known_has_no_position() -> None:
    """Both fields are there all the same."""
    assert position_fields(Position("e", 7)) == {"epoch": "e", "seq": 7}
    assert position_fields(None) == {"epoch": None, "seq": None}


def test_the_time_of_the_server_is_written_to_the_millisecond() -> None:
    """In UTC, also where no digit of the second is left."""
    assert server_time(SEEN) == "1970-01-01T00:00:00.030Z"
    assert iso_utc(1_700_000_000_000) == "2023-11-14T22:13:20.000Z"


def test_an_update_begins_with_its_topic_its_position_and_its_times() -> None:
    """In the order of the fields on the wire."""
    assert times(SEEN) == (10, 20, 30)
    assert update_header("AAPL", SEEN) == ("trades", "AAPL", "e", 7, (10, 20, 30))
