"""Publishing in process, typed: the channel decides the type of the data, and if a period fits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import Future
from typing import Any, Generic, Literal, TypeVar, overload

from bookcast.ingest.input_types import (
    BookInput,
    BrokersInput,
    CandleInput,
    QuoteInput,
    TimePointInput,
    TradesInput,
)
from bookcast.ingest.publisher import Published
from bookcast.model.topics import Period

R = TypeVar("R")


class Publishing(ABC, Generic[R]):
    """Publishes. ``R`` is what :meth:`publish` returns: a position, or an awaitable of one."""

    @overload
    def publish(
        self,
        symbol: str | None,
        data: BookInput,
        *,
        channel: Literal["orderbook"] = "orderbook",
        period: None = None,
    ) -> R: ...
    @overload
    def publish(
        self,
        symbol: str | None,
        data: QuoteInput,
        *,
        channel: Literal["quote"],
        period: None = None,
    ) -> R: ...
    @overload
    def publish(
        self,
        symbol: str | None,
        data: TradesInput,
        *,
        channel: Literal["trades"],
        period: None = None,
    ) -> R: ...
    @overload
    def publish(
        self,
        symbol: str | None,
        data: CandleInput,
        *,
        channel: Literal["candles"],
        period: Period | None = None,
    ) -> R: ...
    @overload
    def publish(
        self,
        symbol: str | None,
        data: BrokersInput,
        *,
        channel: Literal["brokers"],
        period: None = None,
    ) -> R: ...
    @overload
    def publish(
        self,
        symbol: str | None,
        data: TimePointInput,
        *,
        channel: Literal["timeframe"],
        period: None = None,
    ) -> R: ...
    def publish(
        self,
        symbol: str | None,
        data: Any,
        *,
        channel: str = "orderbook",
        period: str | None = None,
    ) -> R:
        """Publish data of a channel, in any form that ``POST /broadcast/{channel}`` takes.

        Any thread may call it.

        Args:
            symbol: None if the data come from futu-api and have the symbol as their ``code``.
            data: an object as a JSON reader returns it, or JSON text. numpy numbers and arrays,
                decimals, dates and DataFrames are taken too.
            channel: the channel.
            period: of a candle, unless the data have it.

        Raises:
            InvalidInput: with the path of the wrong field; then nothing was published.
            StartupError: if the server isn't running.
        """
        return self._publish(symbol, data, channel, period)

    @overload
    def publish_threadsafe(
        self,
        symbol: str | None,
        data: BookInput,
        *,
        channel: Literal["orderbook"] = "orderbook",
        period: None = None,
    ) -> Future[Published]: ...
    @overload
    def publish_threadsafe(
        self,
        symbol: str | None,
        data: QuoteInput,
        *,
        channel: Literal["quote"],
        period: None = None,
    ) -> Future[Published]: ...
    @overload
    def publish_threadsafe(
        self,
        symbol: str | None,
        data: TradesInput,
        *,
        channel: Literal["trades"],
        period: None = None,
    ) -> Future[Published]: ...
    @overload
    def publish_threadsafe(
        self,
        symbol: str | None,
        data: CandleInput,
        *,
        channel: Literal["candles"],
        period: Period | None = None,
    ) -> Future[Published]: ...
    @overload
    def publish_threadsafe(
        self,
        symbol: str | None,
        data: BrokersInput,
        *,
        channel: Literal["brokers"],
        period: None = None,
    ) -> Future[Published]: ...
    @overload
    def publish_threadsafe(
        self,
        symbol: str | None,
        data: TimePointInput,
        *,
        channel: Literal["timeframe"],
        period: None = None,
    ) -> Future[Published]: ...
    def publish_threadsafe(
        self,
        symbol: str | None,
        data: Any,
        *,
        channel: str = "orderbook",
        period: str | None = None,
    ) -> Future[Published]:
        """Publish from another thread without waiting, for instance from a callback of futu-api.

        The future's result is the position; its exception is the error in the data.

        Raises:
            StartupError: if the server isn't running.
        """
        return self._publish_threadsafe(symbol, data, channel, period)

    @abstractmethod
    def _publish(self, symbol: str | None, data: Any, channel: str, period: str | None) -> R: ...

    @abstractmethod
    def _publish_threadsafe(
        self, symbol: str | None, data: Any, channel: str, period: str | None
    ) -> Future[Published]: ...
