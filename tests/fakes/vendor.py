"""A process with the unmodified futu-api in it: what the fakes are checked against."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

PATIENCE = 30.0
READY = "READY"
HANDLERS = {
    "quote": "StockQuoteHandlerBase",
    "book": "OrderBookHandlerBase",
    "candles": "CurKlineHandlerBase",
    "trades": "TickerHandlerBase",
    "points": "RTDataHandlerBase",
    "brokers": "BrokerHandlerBase",
    "notify": "SysNotifyHandlerBase",
}


class Vendor:
    """An OpenQuoteContext in a process of its own, and a way to call it."""

    def __init__(self, port: int, home: Path, *, rsa_key_file: Path | None = None) -> None:
        # Here, since the process itself has no need of it, and is to begin soon.

        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                __name__,
                str(port),
                *([str(rsa_key_file)] * bool(rsa_key_file)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env=os.environ | {"HOME": str(home)},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._questions: IO[str] = self._process.stdin
        self._answers: IO[str] = self._process.stdout

    def ask(self, expression: str) -> Any:
        """Evaluate an expression over there: ``futu``, ``context`` and ``heard`` are known."""
        self._questions.write(json.dumps(expression) + "\n")
        self._questions.flush()
        return json.loads(self._answers.readline())

    def wait(self) -> None:
        """Wait until it is connected; before that, a call of an encrypting client fails at once."""
        deadline = time.monotonic() + PATIENCE
        while self.ask("context.status") != READY:
            assert time.monotonic() < deadline, "it doesn't connect"
            time.sleep(0.01)

    def call(self, method: str, *arguments: Any, **more: Any) -> Any:
        """Call a method of the context; what it says must be a success."""
        told = [*map(repr, arguments), *(f"{name}={value!r}" for name, value in more.items())]
        code, data = self.ask(f"context.{method}({', '.join(told)})")
        assert code == 0, f"{method}: {data}"
        return data

    def refusal(self, method: str, *arguments: Any) -> str:
        """Call a method of the context that must fail, and return its error text."""
        code, data = self.ask(f"context.{method}({', '.join(map(repr, arguments))})")
        assert code == -1, data
        return str(data)

    def heard(self, kind: str) -> list[Any]:
        """Return the pushes of a kind so far, as the vendor's own handlers parse them."""
        return list(self.ask(f"heard[{kind!r}]"))

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._questions.close()
        self._answers.close()


def _plain(value: Any) -> Any:
    """Make JSON of the vendor's objects."""
    return value.to_dict("records") if hasattr(value, "to_dict") else str(value)


def _listen(futu: Any, context: Any) -> dict[str, list[Any]]:
    """Note what is pushed."""
    heard: dict[str, list[Any]] = {kind: [] for kind in HANDLERS}

    def note(kind: str, base: Any) -> Any:
        def on_recv_rsp(self: Any, message: Any) -> Any:
            parsed = base.on_recv_rsp(self, message)
            heard[kind].append(parsed)
            return parsed

        return type(kind, (base,), {"on_recv_rsp": on_recv_rsp})()

    for kind, name in HANDLERS.items():
        context.set_handler(note(kind, getattr(futu, name)))
    return heard


def _main(port: str, rsa_key_file: str = "") -> None:
    futu = importlib.import_module("futu")
    futu.SysConfig.enable_console_log(enable=False)
    futu.SysConfig.set_all_thread_daemon(all_daemon=True)
    if rsa_key_file:
        futu.SysConfig.enable_proto_encrypt(is_encrypt=True)
        futu.SysConfig.set_init_rsa_file(rsa_key_file)
    context = futu.OpenQuoteContext(host="127.0.0.1", port=int(port), is_async_connect=True)
    context.set_sync_query_connect_timeout(5)
    names = {"futu": futu, "context": context, "heard": _listen(futu, context)}
    for line in sys.stdin:
        answer = eval(json.loads(line), names)
        print(json.dumps(answer, default=_plain), flush=True)


if __name__ == "__main__":
    # Off the main thread, where the package would have a signal handler of its own.
    thread = threading.Thread(target=_main, args=sys.argv[1:])
    thread.start()
    thread.join()
