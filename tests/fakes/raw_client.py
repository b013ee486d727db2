"""A client of OpenD's protocol: for what the vendor's client can't be made to do."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Self

from tests.fakes.opend.sealing import NoSeal, Seal
from tests.fakes.opend.wire import (
    HEADER,
    INIT_CONNECT,
    SUB,
    SubType,
    digest_of,
    frame,
    messages,
    name_security,
)

PATIENCE = 30.0


class RawClient:
    """A socket, and the way bodies are encrypted on it at the moment."""

    def __init__(self, port: int, seal: Seal | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.seal = seal or NoSeal()
        self.stream = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, protocol: int, fill: Callable[[Any], None], serial: int = 1) -> None:
        """Send a request whose c2s is filled so."""
        request = messages(protocol).Request()
        request.c2s.SetInParent()
        fill(request.c2s)
        body = request.SerializeToString()
        self.socket.sendall(frame(protocol, serial, digest_of(body), self.seal.seal(body)))

    def hear(self) -> tuple[int, int, bytes]:
        """Read a message: protocol id, serial number, body; EOFError where there is no more."""
        head = self.stream.read(HEADER.size)
        if len(head) < HEADER.size:
            raise EOFError
        magic, protocol, _, _, serial, length, digest, _ = HEADER.unpack(head)
        body = self.seal.open(self.stream.read(length))
        assert (magic, digest) == (b"FT", digest_of(body))
        return protocol, serial, body

    def ask(self, protocol: int, fill: Callable[[Any], None]) -> Any:
        """Send a request, and read the message that comes then, which must be the answer."""
        self.send(protocol, fill)
        answered, serial, body = self.hear()
        assert (answered, serial) == (protocol, 1)
        answer = messages(protocol).Response()
        answer.ParseFromString(body)
        return answer

    def greet(self, encryption: int = -1) -> Any:
        """Send InitConnect with a Common.PacketEncAlgo, and return the answer."""

        def fill(c2s: Any) -> None:
            c2s.clientVer, c2s.clientID, c2s.recvNotify = 1, "raw", False
            c2s.packetEncAlgo = encryption

        return self.ask(INIT_CONNECT, fill)

    def subscribe(self, *codes: str, subtype: int = SubType.ORDER_BOOK, push: bool = True) -> Any:
        """Subscribe, without a first push."""

        def fill(c2s: Any) -> None:
            for code in codes:
                name_security(c2s.securityList.add(), code)
            c2s.subTypeList.append(subtype)
            c2s.isSubOrUnSub, c2s.isRegOrUnRegPush, c2s.isFirstPush = True, push, False

        return self.ask(SUB, fill)

    def close(self) -> None:
        """Hang up."""
        self.stream.close()
        self.socket.close()
