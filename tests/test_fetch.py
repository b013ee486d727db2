import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError

import pytest

from bookcast.fetch import fetch_json, is_this_machine

VARIABLES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


class Web:
    """An HTTP server on loopback that answers with who it is; as a proxy it is asked for URLs."""

    def __init__(self, name: str) -> None:
        self.asked: list[str] = []
        self.agents: list[str] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append(self.path)
                web.agents.append(self.headers["User-Agent"])
                self.send_response(302 if self.path == "/away" else 200)
                self.send_header("Location", "/here")
                self.end_headers()
                self.wfile.write(json.dumps(name).encode())

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name for it
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def web() -> Iterator[Web]:
    served = Web("web")
    yield served
    served.close()


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    served = Web("proxy")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in VARIABLES:
        monkeypatch.setenv(name, f"http://127.0.0.1:{served.port}")
    yield served
    served.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "0.0.0.0"])
def test_this_machine_is_asked_past_the_proxy(web: Web, proxy: Web, host: str) -> None:
    """Whatever the environment says."""
    assert fetch_json(f"http://{host}:{web.port}/", timeout=5) == "web"
    assert proxy.asked == []
    assert web.agents[0].startswith("bookcast/")


def test_other_machines_are_asked_by_the_proxy(proxy: Web) -> None:
    """Unless the caller knows better."""
    url = "http://issuer.example/keys"
    assert fetch_json(url, timeout=5) == "proxy"
    assert proxy.asked == [url]
    with pytest.raises(OSError, match=r".+"):
        fetch_json("http://issuer.invalid/keys", timeout=5, proxies=False)
    assert proxy.asked == [url]


def test_nobody_is_sent_elsewhere(web: Web) -> None:
    """A redirect is an error."""
    with pytest.raises(HTTPError) as caught:
        fetch_json(f"http://127.0.0.1:{web.port}/away", timeout=5)
    caught.value.close()
    assert caught.value.code == 302
    assert web.asked == ["/away"]


@pytest.mark.parametrize(
    ("host", "this"),
    [
        ("localhost", True),
        ("localhost.", True),
        ("LocalHost", True),
        ("keycloak.localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", True),
        ("::", True),
        ("", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("notlocalhost", False),
        ("10.0.0.1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_this_machine_is_known_by_its_names(host: str, this: bool) -> None:
    """Others may be anybody's."""
    assert is_this_machine(host) is this
