"""The endpoints of OpenDs, and the lookup of their host names without blocking."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from typing import Any, NamedTuple


class Endpoint(NamedTuple):
    """The host and port of an OpenD. ``setting``: the setting that names it."""

    host: str
    port: int
    setting: str = "FUTU_HOST"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def resolve(host: str) -> list[str]:
    """Return the addresses of a host, IPv4 first, since OpenD listens on IPv4.

    A slow name server may block the lookup. It runs in a daemon thread of its own, because the
    interpreter would wait at exit for the threads of the loop's pool.

    Raises:
        OSError: when the name can't be resolved.
    """
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[str]] = loop.create_future()

    def finish(addresses: list[str], error: OSError | None) -> None:
        if future.done():  # cancelled
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(addresses)

    def work() -> None:
        addresses: list[str] = []
        fault: OSError | None = None
        try:
            found: list[Any] = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found.sort(key=lambda entry: entry[0] != socket.AF_INET)
            addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        except OSError as error:
            fault = error
        except UnicodeError as error:
            fault = OSError(0, str(error))
        with contextlib.suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(finish, addresses, fault)

    threading.Thread(target=work, name="bookcast-resolve", daemon=True).start()
    return await future
