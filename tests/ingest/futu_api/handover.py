"""What the unmodified futu-api hands to callbacks, for messages made here; and its words.

Run as a program, it writes for each kind the message in hex and what the handler made of it.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

KINDS = {
    "orderbook": ("Qot_UpdateOrderBook", "OrderBookHandlerBase"),
    "quote": ("Qot_UpdateBasicQot", "StockQuoteHandlerBase"),
    "trades": ("Qot_UpdateTicker", "TickerHandlerBase"),
    "candles": ("Qot_UpdateKL", "CurKlineHandlerBase"),
    "brokers": ("Qot_UpdateBroker", "BrokerHandlerBase"),
    "timeframe": ("Qot_UpdateRT", "RTDataHandlerBase"),
}
WORDS = ("KLType", "TickerDirect", "TickerType", "SecurityStatus", "DarkStatus", "OptionAreaType")
TENCENT = {"market": 1, "code": "00700"}
APPLE = {"market": 11, "code": "AAPL"}
LEVELS = [
    {"price": 336.6, "volume": 5400, "orederCount": 2},
    {"price": 336.4, "volume": 100, "orederCount": 1},
]
FIGURES = {
    "isSuspended": False,
    "listTime": "2004-06-16",
    "priceSpread": 0.2,
    "updateTime": "2026-01-05 09:45:00",
    "highPrice": 337.0,
    "openPrice": 335.0,
    "lowPrice": 334.8,
    "curPrice": 336.6,
    "lastClosePrice": 333.0,
    "volume": 1000,
    "turnover": 336600.0,
    "turnoverRate": 0.01,
    "amplitude": 0.6,
    "secStatus": 1,
}
TICK = {
    "time": "2026-01-05 09:45:00.250",
    "sequence": 7_400_000_000_000_000_001,
    "dir": 1,
    "price": 336.6,
    "volume": 100,
    "turnover": 33660.0,
    "type": 1,
    "pushDataType": 1,
}
LINE = {
    "time": "2026-01-05 09:45:00",
    "isBlank": False,
    "highPrice": 337.0,
    "openPrice": 336.0,
    "lowPrice": 335.8,
    "closePrice": 336.6,
    "lastClosePrice": 333.0,
    "volume": 1200,
    "turnover": 403000.0,
}
MESSAGES: dict[str, dict[str, Any]] = {
    "orderbook": {
        "security": TENCENT,
        "name": "TENCENT",
        "svrRecvTimeBid": "2026-01-05 09:45:00.120",
        "svrRecvTimeAsk": "2026-01-05 09:45:00.125",
        "svrRecvTimeBidTimestamp": 1767577500.12,
        "svrRecvTimeAskTimestamp": 1767577500.125,
        "orderBookBidList": LEVELS,
        "orderBookAskList": [
            {
                "price": 336.8,
                "volume": 300,
                "orederCount": 1,
                "detailList": [{"orderID": 12, "volume": 300}],
            }
        ],
    },
    "quote": {
        "basicQotList": [
            {"security": TENCENT, "name": "TENCENT", **FIGURES},
            {
                "security": APPLE,
                **FIGURES,
                "preMarket": {"price": 260.5, "volume": 12, "changeRate": 0.5},
                "optionExData": {
                    "strikePrice": 260.0,
                    "contractSize": 100,
                    "contractSizeFloat": 100.0,
                    "openInterest": 7,
                    "impliedVolatility": 31.5,
                    "premium": 1.5,
                    "delta": 0.0,
                    "gamma": 0.01,
                    "vega": 0.2,
                    "theta": -0.1,
                    "rho": 0.05,
                    "optionAreaType": 1,
                    "expiryDateDistance": 11,
                },
            },
        ]
    },
    "trades": {
        "security": APPLE,
        "tickerList": [TICK, TICK | {"sequence": 8, "dir": 2, "type": 6, "pushDataType": 3}],
    },
    "candles": {
        "security": TENCENT,
        "klType": 7,
        "rehabType": 1,
        "klList": [LINE, LINE | {"time": "2026-01-05 10:00:00"}],
    },
    "brokers": {
        "security": TENCENT,
        "brokerAskList": [{"id": 1453, "name": "UBS", "pos": 1}],
        "brokerBidList": [
            {"id": 5329, "name": "Morgan", "pos": 1, "orderID": 5, "volume": 400},
            {"id": 5330, "name": "Morgan", "pos": 2},
        ],
    },
    "timeframe": {
        "security": TENCENT,
        "rtList": [
            {
                "time": "2026-01-05 09:46:00",
                "minute": 16,
                "isBlank": False,
                "price": 336.6,
                "lastClosePrice": 333.0,
                "avgPrice": 335.9,
                "volume": 800,
                "turnover": 269000.0,
            }
        ],
    },
}


def _fill(message: Any, values: dict[str, Any]) -> None:
    """Set the fields of a message, those of messages in it too, and whatever else is required."""
    for name, value in values.items():
        if isinstance(value, dict):
            _fill(getattr(message, name), value)
        elif isinstance(value, list):
            for item in value:
                _fill(getattr(message, name).add(), item)
        else:
            setattr(message, name, value)


def _plain(value: Any) -> Any:
    return value.to_dict("records") if hasattr(value, "to_dict") else str(value)


def _main() -> None:
    futu = importlib.import_module("futu")
    told: dict[str, Any] = {}
    for kind, (name, handler) in KINDS.items():
        response = importlib.import_module(f"futu.common.pb.{name}_pb2").Response()
        response.retType = 0
        _fill(response.s2c, MESSAGES[kind])
        handed = getattr(futu, handler)().on_recv_rsp(response)
        told[kind] = {"message": response.SerializePartialToString().hex(), "handed": handed}
    told["words"] = {
        name: getattr(importlib.import_module("futu.common.constant"), name)().str_dic
        for name in WORDS
    }
    print(json.dumps(told, default=_plain), flush=True)


if __name__ == "__main__":
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - it logs there, until the end
    _main()
    os._exit(0)  # its threads would stay
