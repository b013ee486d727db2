from bookcast.model.market_data import Book, Candle, Level, Quote, Trade, Trades, is_lossless


def test_a_feeds_book_has_whole_numbers_and_remembers_how_it_was_written() -> None:
    """Views show 134; base clients get the 134.0 of the feed."""
    book = Book.of((Level(134.0, 100.0, 3),), (Level(134.5, 7),))
    assert [type(value) for value in (book.bids[0].price, book.bids[0].size)] == [int, int]
    assert book.as_written() == ((Level(134.0, 100.0, 3),), (Level(134.5, 7),))
    assert type(book.as_written()[0][0].price) is float


def test_trades_and_final_candles_are_lossless() -> None:
    """Of everything else the newest is enough."""
    candle = Candle(time=0, open=1, high=1, low=1, close=1, volume=1, final=True)
    assert is_lossless(Trades((Trade(price=1, size=1, side="buy", timestamp=0),)))
    assert is_lossless(candle)
    assert not is_lossless(Quote(last=1))
