"""A simulated OpenD: it speaks OpenD's wire protocol to the unmodified futu-api.

Run it by hand with ``python -m tests.fakes.opend --port 11111 --rate 5``. Its first line says
``listening on 127.0.0.1:PORT``. With ``--rate``, every subscribed order book moves so many times a
second; without, books are pushed through the control channel, which :class:`Controller` speaks. It
runs in a process of its own, since the vendor's message classes exist once per process.

On the wire: a header of 44 bytes (``FT``, protocol id, format, version, serial number, body length,
SHA-1 of the body, 8 reserved), then a protobuf body. It answers InitConnect (1001), GetGlobalState
(1002), KeepAlive (1004), Qot_Sub (3001, with the first push of the last book, and with the rule
that a subscription can't be undone within ``--min-seconds``), Qot_RegQotPush (3002), Qot_GetSubInfo
(3003) and Qot_GetOrderBook (3012), and pushes Qot_UpdateOrderBook (3013). A connection that sends
what isn't the protocol is cut. There is no encryption, and a quota is told but not enforced.

What the control channel can do, one JSON object a line on standard input, one answer a line on
standard output: ``push``, ``subscriptions``, ``requests``, ``connections``, ``drop``,
``stop_listening``, ``listen``, ``mute``, ``refuse``, ``lose``.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import importlib
import json
import os
import struct
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import IO, Any

HEADER = struct.Struct("<2sIBBII20s8s")
INIT_CONNECT, GLOBAL_STATE, KEEP_ALIVE = 1001, 1002, 1004
SUB, REG_PUSH, SUB_INFO, ORDER_BOOK, PUSH_ORDER_BOOK = 3001, 3002, 3003, 3012, 3013
SUBTYPE_ORDER_BOOK = 2
# Qot_Common.QotMarket, written down here once more: the feed's own table is what gets tested.
MARKETS = {
    "HK": 1,
    "HK_FUTURE": 2,
    "US": 11,
    "SH": 21,
    "SZ": 22,
    "SG": 31,
    "JP": 41,
    "AU": 51,
    "MY": 61,
    "CA": 71,
    "FX": 81,
    "CC": 91,
    "EC": 101,
}
PREFIXES = {number: prefix for prefix, number in MARKETS.items()}
QUOTA = 300


def messages(name: str) -> Any:
    """Import one of the vendor's generated message modules, without importing ``futu``."""
    spec = find_spec("futu")
    assert spec is not None, "futu-api is not installed"
    assert spec.origin is not None
    folder = str(Path(spec.origin).parent / "common" / "pb")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(f"{name}_pb2")


class Connection:
    """One client of the simulated OpenD."""

    def __init__(self, opend: OpenD, number: int, writer: asyncio.StreamWriter) -> None:
        self.opend = opend
        self.number = number
        self.writer = writer
        self.held: dict[tuple[str, int], float] = {}

    def send(self, protocol: int, serial: int, message: Any) -> None:
        """Write one message."""
        body = message.SerializeToString()
        digest = hashlib.sha1(body, usedforsecurity=False).digest()
        head = HEADER.pack(b"FT", protocol, 0, 0, serial, len(body), digest, bytes(8))
        self.writer.write(head + body)

    def push(self, code: str) -> None:
        """Push the last book of a code, if there is one and it is subscribed."""
        if (code, SUBTYPE_ORDER_BOOK) in self.held and code in self.opend.books:
            response = messages("Qot_UpdateOrderBook").Response(retType=0)
            self.opend.fill(response.s2c, code)
            self.send(PUSH_ORDER_BOOK, 0, response)

    def answer(self, protocol: int, serial: int, body: bytes) -> None:
        """Answer one request."""
        name = {
            INIT_CONNECT: "InitConnect",
            GLOBAL_STATE: "GetGlobalState",
            KEEP_ALIVE: "KeepAlive",
            SUB: "Qot_Sub",
            REG_PUSH: "Qot_RegQotPush",
            SUB_INFO: "Qot_GetSubInfo",
            ORDER_BOOK: "Qot_GetOrderBook",
        }.get(protocol)
        if name is None:
            return
        module = messages(name)
        request, response = module.Request(), module.Response(retType=0)
        request.ParseFromString(body)
        getattr(self, f"_{name.lower()}")(request.c2s, response)
        if not response.retMsg:
            response.s2c.SetInParent()
        self.send(protocol, serial, response)
        if protocol == SUB and response.retType == 0 and request.c2s.isFirstPush:
            for security in request.c2s.securityList:
                self.push(code_of(security))

    def _initconnect(self, _c2s: Any, response: Any) -> None:
        response.s2c.serverVer = 1001
        response.s2c.loginUserID = 1
        response.s2c.connID = self.number
        response.s2c.connAESKey = "0123456789abcdef"
        response.s2c.keepAliveInterval = 10

    def _getglobalstate(self, _c2s: Any, response: Any) -> None:
        for market in ("HK", "US", "SH", "SZ", "HKFuture"):
            setattr(response.s2c, f"market{market}", 3)
        response.s2c.qotLogined = response.s2c.trdLogined = True
        response.s2c.serverVer, response.s2c.serverBuildNo = 1001, 1
        response.s2c.time = int(time.time())

    def _keepalive(self, _c2s: Any, response: Any) -> None:
        response.s2c.time = int(time.time())

    def _qot_sub(self, c2s: Any, response: Any) -> None:
        codes = [code_of(security) for security in c2s.securityList]
        wanted = [(code, subtype) for code in codes for subtype in c2s.subTypeList]
        now = time.monotonic()
        if c2s.isUnsubAll:
            self.held.clear()
            return
        if not c2s.isSubOrUnSub:
            young = [key for key in wanted if now - self.held.get(key, 0) < self.opend.min_seconds]
            if young:
                response.retType = -1
                response.retMsg = f"{young[0][0]}: can't be unsubscribed within one minute"
                return
            for key in wanted:
                self.held.pop(key, None)
            return
        for code in codes:
            if code in self.opend.refused:
                response.retType, response.retMsg = -1, self.opend.refused[code]
                return
        for key in wanted:
            if key[0] in self.opend.losing:
                self.opend.losing.discard(key[0])
            else:
                self.held.setdefault(key, now)

    def _qot_regqotpush(self, _c2s: Any, _response: Any) -> None:
        """Pushing is registered by subscribing."""

    def _qot_getsubinfo(self, _c2s: Any, response: Any) -> None:
        info = response.s2c.connSubInfoList.add(usedQuota=len(self.held), isOwnConnData=True)
        by_type: dict[int, Any] = {}
        for code, subtype in self.held:
            if subtype not in by_type:
                by_type[subtype] = info.subInfoList.add(subType=subtype)
            market, _, name = code.partition(".")
            by_type[subtype].securityList.add(market=MARKETS[market], code=name)
        used = sum(len(connection.held) for connection in self.opend.connections)
        response.s2c.totalUsedQuota, response.s2c.remainQuota = used, QUOTA - used

    def _qot_getorderbook(self, c2s: Any, response: Any) -> None:
        code = code_of(c2s.security)
        if code not in self.opend.books:
            response.retType, response.retMsg = -1, f"no book of {code}"
            return
        self.opend.fill(response.s2c, code)


def code_of(security: Any) -> str:
    """Give a security as ``MARKET.CODE``."""
    return f"{PREFIXES[security.market]}.{security.code}"


class OpenD:
    """The server: its connections, its books, and what it is told to do wrong."""

    def __init__(self, *, min_seconds: float) -> None:
        self.min_seconds = min_seconds
        self.connections: list[Connection] = []
        self.books: dict[str, dict[str, Any]] = {}
        self.refused: dict[str, str] = {}
        self.losing: set[str] = set()
        self.muted = False
        self.requests: list[int] = []
        self.port = 0
        self._count = 0
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Accept connections, on the same port as before if there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop_listening(self) -> None:
        """Be as if the process were gone: no listener, no connection."""
        if self._server is not None:
            self._server.close()
        self.drop()

    def drop(self) -> None:
        """Cut all connections."""
        for connection in list(self.connections):
            connection.writer.transport.abort()

    def push(self, book: dict[str, Any]) -> None:
        """Take a book as the newest of its code and push it to its subscribers."""
        self.books[book["code"]] = book
        for connection in self.connections:
            connection.push(book["code"])

    def fill(self, s2c: Any, code: str) -> None:
        """Write the last book of a code into a message."""
        book = self.books[code]
        market, _, name = code.partition(".")
        s2c.security.market, s2c.security.code = MARKETS[market], name
        for side, levels in (
            (s2c.orderBookBidList, book["bids"]),
            (s2c.orderBookAskList, book["asks"]),
        ):
            for price, size, orders in levels:
                level = side.add(price=price, volume=int(size), orederCount=orders)
                if isinstance(size, float):
                    level.hpVolume = size
        if "time" in book:
            s2c.svrRecvTimeBidTimestamp = book["time"]
        if "type" in book:
            s2c.orderBookType = book["type"]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count += 1
        connection = Connection(self, self._count, writer)
        self.connections.append(connection)
        try:
            while True:
                head = HEADER.unpack(await reader.readexactly(HEADER.size))
                body = await reader.readexactly(head[5])
                digest = hashlib.sha1(body, usedforsecurity=False).digest()
                if head[0] != b"FT" or head[2] != 0 or head[6] != digest:
                    break
                self.requests.append(head[1])
                if not self.muted:
                    connection.answer(head[1], head[4], body)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self.connections.remove(connection)
            writer.close()

    async def move_books(self, rate: float) -> None:
        """Let every subscribed book walk, so many times a second."""
        random = Random(1)
        middles: dict[str, float] = {}
        while True:
            await asyncio.sleep(1 / rate)
            for code in {code for c in self.connections for code, _ in c.held}:
                middle = middles[code] = middles.get(code, 100.0) + random.choice((-0.01, 0, 0.01))
                bids, asks = (
                    [
                        [
                            round(middle + away * step, 2),
                            random.randint(1, 900),
                            random.randint(1, 9),
                        ]
                        for away in range(1, 11)
                    ]
                    for step in (-0.01, 0.01)
                )
                self.push({"code": code, "bids": bids, "asks": asks, "time": time.time()})

    async def obey(self, command: dict[str, Any]) -> Any:
        """Do what the control channel says, and give the answer."""
        match command["do"]:
            case "push":
                for book in command["books"]:
                    self.push(book)
            case "subscriptions":
                return sorted({code for c in self.connections for code, _ in c.held})
            case "requests":
                return self.requests
            case "connections":
                return len(self.connections)
            case "drop":
                self.drop()
            case "stop_listening":
                await self.stop_listening()
            case "listen":
                await self.listen()
            case "mute":
                self.muted = command["muted"]
            case "refuse":
                self.refused = command["codes"]
            case "lose":
                self.losing = set(command["codes"])
            case unknown:
                return {"error": f"unknown command {unknown!r}"}
        return None


class Controller:
    """A simulated OpenD in a process of its own, and what a test can make it do."""

    def __init__(self, *, port: int = 0, min_seconds: float = 0.0) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.fakes.opend", "--control"),
                *("--port", str(port), "--min-seconds", str(min_seconds)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._commands: IO[str] = self._process.stdin
        self._answers: IO[str] = self._process.stdout
        self.port = int(self._answers.readline().rpartition(":")[2])

    def _tell(self, do: str, **more: Any) -> Any:
        self._commands.write(json.dumps({"do": do, **more}) + "\n")
        self._commands.flush()
        return json.loads(self._answers.readline())

    def push(self, *books: dict[str, Any]) -> None:
        """Push books: ``{"code", "bids": [[price, size, orders]], "asks", "time"?, "type"?}``."""
        self._tell("push", books=books)

    def subscriptions(self) -> list[str]:
        """Give the codes that are subscribed."""
        return list(self._tell("subscriptions"))

    def requests(self) -> list[int]:
        """Give the ids of all requests so far."""
        return list(self._tell("requests"))

    def connections(self) -> int:
        """Give the number of clients connected now."""
        return int(self._tell("connections"))

    def drop(self) -> None:
        """Cut all connections; new ones are accepted."""
        self._tell("drop")

    def stop_listening(self) -> None:
        """Be gone."""
        self._tell("stop_listening")

    def listen(self) -> None:
        """Be back, on the same port."""
        self._tell("listen")

    def mute(self, *, muted: bool = True) -> None:
        """Answer nothing any more, or again."""
        self._tell("mute", muted=muted)

    def refuse(self, **codes: str) -> None:
        """Refuse these codes with these reasons; ``_`` stands for the dot."""
        self._tell("refuse", codes={code.replace("_", "."): why for code, why in codes.items()})

    def lose(self, *codes: str) -> None:
        """Say yes to the next subscription of these codes, but don't make it."""
        self._tell("lose", codes=codes)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._commands.close()
        self._answers.close()


async def main() -> None:
    """Run until standard input ends (with ``--control``) or for ever."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=11111, help="0 picks a free one")
    parser.add_argument("--rate", type=float, default=0, help="moves a second of subscribed books")
    parser.add_argument("--refuse", action="append", default=[], metavar="CODE")
    parser.add_argument("--min-seconds", type=float, default=60, help="before unsubscribing")
    parser.add_argument("--control", action="store_true", help="take commands on standard input")
    options = parser.parse_args()
    opend = OpenD(min_seconds=options.min_seconds)
    opend.port = options.port
    opend.refused = dict.fromkeys(options.refuse, "no quote right for this code")
    await opend.listen()
    print(f"listening on 127.0.0.1:{opend.port}", flush=True)  # noqa: T201 - its control channel
    mover = asyncio.create_task(opend.move_books(options.rate)) if options.rate else None
    if not options.control:
        await (mover or asyncio.Event().wait())
    commands = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), os.fdopen(0, "rb")
    )
    while line := await commands.readline():
        print(json.dumps(await opend.obey(json.loads(line))), flush=True)  # noqa: T201 - its control channel


if __name__ == "__main__":
    asyncio.run(main())
