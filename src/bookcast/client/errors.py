"""What a client raises.

BookcastClientError
├── Refused    the server refuses what was asked: a subscription, a publication
└── Stopped    there won't be anything more: the client was closed, or may not come back
"""

from __future__ import annotations

from collections.abc import Sequence

from bookcast.errors import ERRORS, BookcastError, ErrorKind
from bookcast.protocol.v1.messages import ErrorMessage

_UNKNOWN = ErrorKind(400, "Unknown to this release")


class BookcastClientError(BookcastError):
    """What went wrong.

    Attributes:
        code: the server's error code, the close code of a connection that ended for good, or one of
            the client's own: ``not_connected``, ``no_answer``, ``no_token``, ``no_data``,
            ``closed``.
        final: whether trying again is of no use until something is changed.
        retry_after: seconds after which the server wants to be asked again; None where it
            didn't say.
        did_you_mean: symbols that may have been meant, the likeliest first.
        channel: what it is about, where that is known.
        symbol: the same.
    """

    def __init__(
        self,
        code: str | int,
        message: str,
        *,
        final: bool = False,
        retry_after: float | None = None,
        did_you_mean: Sequence[str] = (),
        channel: str | None = None,
        symbol: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.final = final
        self.retry_after = retry_after
        self.did_you_mean = tuple(did_you_mean)
        self.channel = channel
        self.symbol = symbol

    def __str__(self) -> str:
        """Return the sentence, what it is about, and the code: a traceback shows nothing else."""
        about = " of ".join(filter(None, (self.channel, self.symbol)))
        return f"{self.message} ({', '.join(filter(None, (about, str(self.code))))})"


class Refused(BookcastClientError):
    """The server refuses it. With ``final`` False it may go well later."""


class Stopped(BookcastClientError):
    """There won't be anything more from this client, or from a subscription that was closed."""


def refusal(told: ErrorMessage) -> Refused:
    """Return the error that a message of the server tells of."""
    return Refused(
        told.code,
        told.message,
        final=not ERRORS.get(told.code, _UNKNOWN).retry,
        retry_after=told.retry_after_ms / 1000 if told.retry_after_ms else None,
        did_you_mean=told.did_you_mean or (),
        channel=told.channel or None,
        symbol=told.symbol or None,
    )


def no_answer() -> BookcastClientError:
    """Return the error of a question that nobody answered."""
    return BookcastClientError("no_answer", "no answer came")
