import msgspec
import pytest

from bookcast.protocol.base import messages


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (
            messages.SubscriptionConfirmed("AAPL"),
            '{"type":"subscription_confirmed","symbol":"AAPL"}',
        ),
        (
            messages.UnsubscriptionConfirmed("AAPL"),
            '{"type":"unsubscription_confirmed","symbol":"AAPL"}',
        ),
        (messages.Pong(), '{"type":"pong"}'),
        (messages.ErrorMessage("Unknown action"), '{"type":"error","message":"Unknown action"}'),
        (
            messages.OrderbookUpdate("AAPL", msgspec.Raw(b'{"bids":[],"asks":[]}'), "now"),
            (
                '{"type":"orderbook_update","symbol":"AAPL","data":{"bids":[],"asks":[]},'
                '"timestamp":"now"}'
            ),
        ),
    ],
)
def test_a_message_has_the_frozen_fields_and_no_others(
    message: messages.Message, text: str
) -> None:
    """Front ends in the field expect these bytes."""
    assert msgspec.json.encode(message).decode() == text
