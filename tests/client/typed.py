"""Programs whose faults a type checker has to find.

It is never run. mypy reads it with all other tests, and fails where it finds no fault that is to be
ignored (``warn_unused_ignores``), or another one.
"""

import bookcast
from bookcast.client import Book, GappedCandle, Position, Subscription, Trades


async def right() -> None:
    """Correct programs."""
    async with bookcast.client.connect("ws://host", client_id="me", token="t") as client:
        book: Subscription[Book] = client.order_book("US.AAPL", depth=10, mode="full")
        async for one in book:
            price: float = one.bids[0].price
            orders: int | None = one.asks[0].orders
            print(price, orders)
        tape: Trades = await client.trades("US.AAPL", history=5).next()
        print(tape.trades[0].side, tape.gap and tape.gap.reason)
        candle: GappedCandle = await client.candles("US.AAPL", period="1m").next()
        print(candle.close, candle.gap)
        place: Position = await client.publish("MY.OWN", {"bids": [[1, 2]], "asks": []})
        await client.publish("MY.OWN", {"last": 1.5}, channel="quote", wait=5)
        results = await client.publish([{"symbol": "A", "data": {"last": 1}, "channel": "quote"}])
        print(place.seq, results[0])
    quote = bookcast.snapshot("US.AAPL", "quote", url="ws://host", timeout=2)
    print(quote.last, bookcast.checksum(bookcast.snapshot("US.AAPL").bids, []))


async def wrong() -> None:
    """Programs with one fault a line."""
    async with bookcast.client.connect("ws://host", clientid="me") as client:  # type: ignore[call-arg] # a fault
        client.order_book("US.AAPL", dept=10)  # type: ignore[call-arg] # a fault
        client.order_book("US.AAPL", depth="10")  # type: ignore[arg-type] # a fault
        client.order_book("US.AAPL", mode="deltas")  # type: ignore[arg-type] # a fault
        client.candles("US.AAPL", period="2m")  # type: ignore[arg-type] # a fault
        client.candles("US.AAPL")  # type: ignore[call-arg] # a fault
        client.quote("US.AAPL", depth=5)  # type: ignore[call-arg] # a fault
        client.orderbook("US.AAPL")  # type: ignore[attr-defined] # a fault
        await client.publish("A", {"bids": [], "asks": []}, channel="book")  # type: ignore[call-overload] # a fault
        await client.publish("A", {"bids": []})  # type: ignore[call-overload] # a fault
        await client.publish("A", {"last": "1.5"}, channel="quote")  # type: ignore[call-overload] # a fault
        await client.publish("A", {"lst": 1.5}, channel="quote")  # type: ignore[call-overload] # a fault
        await client.publish("A", {"price": 1}, channel="trades")  # type: ignore[call-overload] # a fault
        await client.publish("A", {"last": 1}, channel="quote", period="1m")  # type: ignore[call-overload] # a fault
        await client.publish([{"symbol": "A", "chanel": "quote", "data": 1}])  # type: ignore[list-item] # a fault
        await client.publish([{"symbol": "A", "channel": "quote", "data": {"lst": 1}}])  # type: ignore[list-item, misc] # a fault
        await client.publish([{"symbol": "A", "channel": "qoute", "data": {"last": 1}}])  # type: ignore[list-item, misc] # a fault
        await client.publish([{"symbol": "A", "data": {"last": 1}}])  # type: ignore[typeddict-item] # a fault
        async for book in client.order_book("US.AAPL"):
            print(book.bid[0])  # type: ignore[attr-defined] # a fault
            print(book.bids[0].prize)  # type: ignore[attr-defined] # a fault
    bookcast.snapshot("US.AAPL", "quotes")  # type: ignore[call-overload] # a fault
    bookcast.snapshot("US.AAPL", "quote", period="1m")  # type: ignore[call-overload] # a fault
    print(bookcast.snapshot("US.AAPL", "quote").bids)  # type: ignore[attr-defined] # a fault
