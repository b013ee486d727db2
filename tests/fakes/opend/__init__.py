"""A simulated OpenD: it speaks OpenD's wire protocol to the unmodified futu-api.

Nobody needs an account at Futu with it. By hand:

    .venv/bin/python -m tests.fakes.opend --port 11111 --rate 5

Its first line says ``listening on 127.0.0.1:PORT``. With ``--rate`` everything that is subscribed
moves so many times a second, any code exists, and a few have names. Without, nothing moves but what
a test pushes through the control channel, which ``Controller`` speaks. It runs in a process of its
own, since the vendor's message classes exist once per process.

On the wire: a header of 44 bytes (``FT``, protocol id, format, version, serial number, body length,
SHA-1 of the plain body, 8 reserved), then a protobuf body. A connection that sends what isn't the
protocol, or anything before InitConnect, is cut. A request with an id that isn't below gets no
answer.

What it answers:

- InitConnect (1001), GetGlobalState (1002), KeepAlive (1004), GetUserInfo (1005).
- Qot_Sub (3001): all of a request or nothing. It is refused for codes told to ``refuse``, for those
  that aren't defined if it is to ``know_only_defined``, without a quote right for the market, and
  without quota: a unit for every code and subtype, over all connections. Options have a quota of
  their own, a unit for every chain and subtype. With the SF right for Hong Kong, 50 of its
  securities may have books or brokers. Unsubscribing is refused
  for ``min_seconds`` after subscribing; what a closed connection had goes on costing quota for as
  long. Pushes come only if isRegOrUnRegPush says so, as the vendor's ``subscribe`` does, or
  Qot_RegQotPush (3002) does later. With isFirstPush comes what is stored: all trades (as
  PushDataType_Cache), and the newest of everything else. Single orders of a book's level come only
  with isSubOrderBookDetail.
- Qot_GetSubInfo (3003): of the own connection, or of all with isReqAllConn, each with the
  securityFirm that it named last; the quota is the account's.
- Qot_GetBasicQot, GetKL, GetRT, GetTicker, GetOrderBook, GetBroker (3004 to 3014, even): what is
  stored, but only to connections that have subscribed it.
- Qot_GetStaticInfo (3202): of listed codes, or of a market and, unless 0, a type; what wasn't
  defined is left out. Options and cryptocurrencies come by their codes only.
- Qot_GetSecuritySnapshot (3203): at most 400 codes, and 60 requests in 30 seconds; one unknown
  code, and all are refused. Where no snapshot is told, one is made of the quote and the book.
- Qot_GetMarketState (3223): at most 400 codes, and 10 requests in 30 seconds.

What it pushes: quotes, candles, points of the day's line, trades, order books, brokers (3005 to
3015, odd), and Notify (1003) to the connections that asked for it.

With an RSA key (``--rsa-key``), bodies are encrypted as futu-api does: InitConnect with RSA, all
the rest with AES, in CBC mode or, with packetEncAlgo 0, in Futu's ECB mode. Whoever doesn't encrypt
is cut. A key for the vendor's own client must have 1024 bits.

Codes are ``MARKET.CODE``, times are seconds since 1970, and are also told as text in the market's
zone. A size that is a float is told in hpVolume as well.
"""

from tests.fakes.opend.controller import Controller
from tests.fakes.opend.wire import (
    BASIC_QOT,
    BROKER,
    GLOBAL_STATE,
    INIT_CONNECT,
    KEEP_ALIVE,
    KL,
    MARKET_STATE,
    NOTIFY,
    ORDER_BOOK,
    PUSH_BASIC_QOT,
    PUSH_BROKER,
    PUSH_KL,
    PUSH_ORDER_BOOK,
    PUSH_RT,
    PUSH_TICKER,
    REG_PUSH,
    RT,
    SNAPSHOT,
    STATIC_INFO,
    SUB,
    SUB_INFO,
    TICKER,
    USER_INFO,
)

__all__ = [
    "BASIC_QOT",
    "BROKER",
    "GLOBAL_STATE",
    "INIT_CONNECT",
    "KEEP_ALIVE",
    "KL",
    "MARKET_STATE",
    "NOTIFY",
    "ORDER_BOOK",
    "PUSH_BASIC_QOT",
    "PUSH_BROKER",
    "PUSH_KL",
    "PUSH_ORDER_BOOK",
    "PUSH_RT",
    "PUSH_TICKER",
    "REG_PUSH",
    "RT",
    "SNAPSHOT",
    "STATIC_INFO",
    "SUB",
    "SUB_INFO",
    "TICKER",
    "USER_INFO",
    "Controller",
]
