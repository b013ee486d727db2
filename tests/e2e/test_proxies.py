"""The samples in deploy/, run by the real nginx and HAProxy in front of a real bookcast."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import jwt
import pytest
from websockets.exceptions import InvalidStatus

from bookcast.settings import Settings, describe
from tests.support import (
    PATIENCE,
    ROOT,
    Client,
    Command,
    command,
    connect,
    eventually,
    handshake,
    missing,
)

SAMPLES = {
    "nginx": (ROOT / "deploy" / "nginx.conf").read_text(),
    "haproxy": (ROOT / "deploy" / "haproxy.cfg").read_text(),
}
NAME = "bookcast.example"
SECRET = "a secret of the tests, which is long enough"
BOOK = {"bids": [[189.9, 300]], "asks": [[189.95, 200]]}

INSIDE = "127.0.0.3"
"""Whom the samples count as inside, once their list is substituted."""

LIMIT = 2
"""MAX_CONNECTIONS_PER_ADDRESS."""

_numbers = itertools.count(1)

KINDS = ["nginx", "haproxy", "haproxy, PROXY v1", "haproxy, PROXY v2"]

Substitutions = Sequence[tuple[str, str]]

WITH_HEADER = "    server node1 127.0.0.1:8002  # by header; yours"
WITH_PROXY_PROTOCOL = "    # server node1 127.0.0.1:8002 send-proxy-v2  # by PROXY protocol; yours"


def own_address() -> str:
    """Return a loopback address that no other test process listens on."""
    number = os.getpid()
    return f"127.{64 + (number >> 16) % 128}.{number >> 8 & 255}.{number & 255}"


def free_port() -> int:
    """Return a free port of our own address, where no other process can take it."""
    with socket.create_server((own_address(), 0)) as server:
        return int(server.getsockname()[1])


def outside() -> str:
    """Return an address that no client used before: limits per address start afresh."""
    number = next(_numbers)
    return f"127.1.{number >> 8}.{number & 255}"


def substitute(text: str, *pairs: tuple[str, str]) -> str:
    """Replace each of these texts; every one must be present."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


class Certificate(NamedTuple):
    """A certificate for the samples' name, as files."""

    certificate: Path
    key: Path
    both: Path

    @property
    def trusted(self) -> ssl.SSLContext:
        """Return a TLS context that trusts the certificate."""
        return ssl.create_default_context(cafile=str(self.certificate))


class Proxy(NamedTuple):
    """A running proxy, and the paths of its logs."""

    process: subprocess.Popen[bytes]
    port: int
    plain_port: int
    certificate: Certificate
    logs: Sequence[Path]

    def log(self) -> str:
        """Return everything that the proxy has logged."""
        return "".join(path.read_text() for path in self.logs if path.exists())

    @asynccontextmanager
    async def connect(
        self,
        query: str = "",
        *,
        source: str = "",
        protocol: str = "bookcast.v1",
        token: str | None = "",
        **options: Any,
    ) -> AsyncIterator[Client]:
        """Connect a client from an address, with a token of alice by default."""
        subprotocols = [protocol]
        if token is not None:
            subprotocols.append(f"bearer.{token or token_of('alice')}")
        source = source or outside()
        async with connect(
            f"wss://{NAME}/ws/{source}{query}",
            host=own_address(),
            port=self.port,
            ssl=self.certificate.trusted,
            local_addr=(source, 0),
            subprotocols=subprotocols,
            **options,
        ) as client:
            yield client

    def request(
        self, method: str, target: str, *, source: str = "", **options: Any
    ) -> httpx.Response:
        """Make a request over TLS from an address, with the target as it stands."""
        transport = httpx.HTTPTransport(
            verify=self.certificate.trusted, local_address=source or outside()
        )
        with httpx.Client(transport=transport, trust_env=False) as client:
            options["headers"] = {"Host": NAME, **options.get("headers", {})}
            return client.request(
                method,
                f"https://{own_address()}:{self.port}/",
                extensions={"sni_hostname": NAME, "target": target.encode()},
                **options,
            )

    def request_plainly(self, target: str, *, host: str = NAME) -> httpx.Response:
        """Make a request without TLS."""
        url = f"http://{own_address()}:{self.plain_port}{target}"
        return httpx.get(url, headers={"Host": host}, trust_env=False)


def token_of(who: str, *, seconds: float = 3600, scope: str = "read publish admin") -> str:
    """Sign a token."""
    claims = {"sub": who, "scope": scope, "exp": time.time() + seconds}
    return jwt.encode(claims, SECRET, algorithm="HS256")


def environ(**more: str) -> dict[str, str]:
    """Return the settings that the samples name."""
    return {
        "ENVIRONMENT": "production",
        "REDIS_URL": "memory://",
        "DRAIN_SECONDS": "0.2",
        "HOST": own_address(),
        "AUTH_MODE": "jwt",
        "AUTH_JWT_SECRET": SECRET,
        # All of it, with the clients in it: so the server believes whatever a proxy lets through.
        "TRUSTED_PROXIES": "127.0.0.0/8",
        "ALLOWED_HOSTS": f"{NAME},{own_address()}",
        "ALLOWED_ORIGINS": "https://app.example.com",
        "MAX_CONNECTIONS_PER_ADDRESS": str(LIMIT),
        "LOG_LEVEL": "debug",
        **more,
    }


@contextmanager
def serving(port: int = 0, **more: str) -> Iterator[tuple[Command, list[str]]]:
    """Run the server; yield its log as well, complete once the server has ended."""
    with command("serve", "--port", str(port), environ=environ(**more)) as served:
        assert served.process.stderr is not None
        stream = served.process.stderr
        log = served.log
        # Or it would block on a full pipe.
        reader = threading.Thread(target=lambda: log.extend(stream), daemon=True)
        reader.start()
        try:
            yield served, log
        finally:
            if served.process.poll() is None:
                served.end(signal.SIGTERM)
            reader.join(PATIENCE)


def address_of(served: Command) -> str:
    """Return the host and port that a server listens on, in the form that proxies expect."""
    return served.http_url.removeprefix("http://")


def publish(served: Command, symbol: str = "AAPL") -> None:
    """Publish a book, around the proxy."""
    httpx.post(
        f"{served.http_url}/broadcast/orderbook?symbol={symbol}",
        json=BOOK,
        headers={"Authorization": f"Bearer {token_of('publisher')}"},
        trust_env=False,
    ).raise_for_status()


class Place(NamedTuple):
    """The values with which a sample's placeholders are filled."""

    folder: Path
    certificate: Certificate
    plain: str
    tls: str
    upstream: str


def nginx(place: Place, more: Substitutions) -> list[str]:
    """Write nginx's configuration, and return the command that runs it in the foreground."""
    folder, certificate = place.folder, place.certificate
    temporary = "".join(
        f"    {kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = substitute(
        SAMPLES["nginx"],
        ("user www-data;", ""),
        ("\nhttp {\n", f"\nhttp {{\n{temporary}"),
        ("/var/log/nginx/", f"{folder}/"),
        ("server 127.0.0.1:8002;", f"server {place.upstream};"),
        ("listen 80;", f"listen {place.plain};"),
        ("listen [::]:80;", ""),
        ("listen 443 ssl", f"listen {place.tls} ssl"),
        ("listen [::]:443 ssl sndbuf=64k;", ""),
        ("/etc/letsencrypt/live/bookcast.example/fullchain.pem", str(certificate.certificate)),
        ("/etc/letsencrypt/live/bookcast.example/privkey.pem", str(certificate.key)),
        ("allow 127.0.0.0/8;", f"allow {INSIDE};"),
        *more,
    )
    path = folder / "nginx.conf"
    path.write_text(text)
    directives = f"daemon off; pid {folder}/nginx.pid; lock_file {folder}/nginx.lock;"
    return ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(path), "-g", directives]


def haproxy(place: Place, more: Substitutions, kind: str) -> list[str]:
    """Write HAProxy's configuration, and return the command that runs it in the foreground."""
    text = SAMPLES["haproxy"]
    if "PROXY" in kind:
        header = "    http-request set-header X-Forwarded-For %[src]  # by header"
        text = substitute(
            text,
            (header, f"    # {header}"),
            (WITH_HEADER, f"    # {WITH_HEADER}"),
            (WITH_PROXY_PROTOCOL, WITH_PROXY_PROTOCOL.replace("# server", "server")),
        )
    if kind.endswith("v1"):
        text = substitute(text, (" send-proxy-v2 ", " send-proxy "))
    text = substitute(
        text,
        ("    user haproxy\n    group haproxy\n    maxconn 20000\n", "    maxconn 200\n"),
        ("server node1 127.0.0.1:8002 ", f"server node1 {place.upstream} "),
        ("bind :80 ", f"bind {place.plain} "),
        ("bind :::80 v6only", ""),
        ("bind :443 ssl", f"bind {place.tls} ssl"),
        ("bind :::443 v6only ssl crt /etc/haproxy/certs/bookcast.example.pem alpn http/1.1", ""),
        ("/etc/haproxy/certs/bookcast.example.pem", str(place.certificate.both)),
        ("acl inside src 127.0.0.0/8", f"acl inside src {INSIDE}"),
        ("check inter 2s", "check inter 100ms"),
        *more,
    )
    path = place.folder / "haproxy.cfg"
    path.write_text(text)
    return ["haproxy", "-db", "-f", str(path)]


@contextmanager
def before(
    upstream: str,
    kind: str,
    folder: Path,
    certificate: Certificate,
    *,
    more: Substitutions = (),
) -> Iterator[Proxy]:
    """Run a proxy before a server, and wait until it listens."""
    folder = folder / re.sub(r"\W+", "-", kind)
    folder.mkdir(parents=True)
    plain, tls = free_port(), free_port()
    where = own_address()
    place = Place(folder, certificate, f"{where}:{plain}", f"{where}:{tls}", upstream)
    arguments = nginx(place, more) if kind == "nginx" else haproxy(place, more, kind)
    output = folder / "output"
    with output.open("wb") as log:
        process = subprocess.Popen(
            arguments, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    logs = [output, folder / "access.log", folder / "error.log"]
    proxy = Proxy(process, tls, plain, certificate, logs)
    try:
        _wait_until_it_listens(proxy)
        yield proxy
    finally:
        # nginx ends its workers when it is asked to end, not when it is killed.
        process.terminate()
        process.wait(PATIENCE)


def _wait_until_it_listens(proxy: Proxy) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        assert proxy.process.poll() is None, proxy.log()
        with contextlib.suppress(OSError):
            socket.create_connection((own_address(), proxy.port), timeout=PATIENCE).close()
            return
        assert time.monotonic() < deadline, f"it doesn't listen:\n{proxy.log()}"
        time.sleep(0.01)


@pytest.fixture(scope="module", autouse=True)
def _programs() -> None:
    """Check that every program is installed."""
    for name in ("nginx", "haproxy", "openssl"):
        if shutil.which(name) is None:
            missing(f"no {name} on the PATH: install it to test the samples in deploy/")
    try:
        socket.create_server((INSIDE, 0)).close()
    except OSError:
        missing("clients need several loopback addresses, as Linux has them")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Make a certificate."""
    folder = tmp_path_factory.mktemp("certificate")
    files = Certificate(folder / "certificate.pem", folder / "key.pem", folder / "both.pem")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", f"/CN={NAME}"),
            *("-addext", f"subjectAltName=DNS:{NAME}"),
            *("-keyout", str(files.key), "-out", str(files.certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=PATIENCE,
    )
    files.both.write_text(files.certificate.read_text() + files.key.read_text())
    return files


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Command, list[str]]]:
    """Serve, with the settings that the samples name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("cwd"))  # where no .env is
        with serving() as both:
            yield both


@pytest.fixture(params=KINDS)
def proxy(
    request: pytest.FixtureRequest,
    served: tuple[Command, list[str]],
    certificate: Certificate,
    tmp_path: Path,
) -> Iterator[Proxy]:
    """Run each proxy before the server that these tests share."""
    with before(address_of(served[0]), request.param, tmp_path, certificate) as running:
        yield running


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run where no .env is."""
    monkeypatch.chdir(tmp_path)


async def refusal_of(connecting: AbstractAsyncContextManager[Client]) -> int:
    """Return the HTTP status with which a handshake was refused."""
    with pytest.raises(InvalidStatus) as refused:
        async with connecting:
            pass
    return refused.value.response.status_code


async def logged(log: list[str], text: str) -> None:
    """Wait until a text is logged."""
    await eventually(lambda: any(text in line for line in list(log)), text)


async def receive_book(proxy: Proxy, served: Command, symbol: str, **options: Any) -> None:
    """Receive through the proxy a book that is published without the proxy."""
    async with proxy.connect(**options) as client:
        assert client.connection.subprotocol == options.get("protocol", "bookcast.v1")
        await client.say({"action": "subscribe", "symbol": symbol})
        while (await client.hear())["type"] != "subscription_confirmed":
            pass
        await asyncio.to_thread(publish, served, symbol)
        while (message := await client.hear())["type"] != "orderbook_update":
            pass
        assert message["data"]["bids"] == BOOK["bids"]


async def until_it_serves(proxy: Proxy) -> None:
    """Try to connect, as clients do, until the proxy has found the server."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            async with proxy.connect():
                return
        except InvalidStatus as refused:
            assert refused.response.status_code in {502, 503}
            assert time.monotonic() < deadline, proxy.log()
            await asyncio.sleep(0.02)


def test_the_samples_name_settings_that_there_are() -> None:
    """And no others."""
    names = {one.environment_name for one in describe()}
    for sample in SAMPLES.values():
        named = set(re.findall(r"\b(?:HOST|ENVIRONMENT|[A-Z]+(?:_[A-Z]+)+)\b", sample))
        assert {"TRUSTED_PROXIES", "AUTH_MODE", "ALLOWED_ORIGINS", "HOST"} <= named
        assert {name.removesuffix("_FILE") for name in named} <= names


def test_the_samples_are_more_patient_than_the_server() -> None:
    """So that it is bookcast who says that a client is gone."""
    settings = Settings()
    longest = settings.ping_interval + settings.ping_timeout
    patience = {
        "nginx": re.findall(r"proxy_(read|send)_timeout (\d+)s;", SAMPLES["nginx"]),
        "haproxy": re.findall(r"timeout (client|server|tunnel) (\d+)s", SAMPLES["haproxy"]),
    }
    assert [len(found) for found in patience.values()] == [2, 3]
    for _, seconds in itertools.chain(*patience.values()):
        assert int(seconds) > longest


@pytest.mark.parametrize("protocol", ["bookcast.v1", "bookcast.base"])
async def test_a_book_comes_through_the_proxy(
    proxy: Proxy, served: tuple[Command, list[str]], protocol: str
) -> None:
    """Over TLS, with the token in a subprotocol, compressed or not."""
    await receive_book(proxy, served[0], "US.ONE", protocol=protocol)
    await receive_book(proxy, served[0], "US.TWO", protocol=protocol, compression="deflate")


@pytest.mark.parametrize(
    ("origin", "let_in"),
    [(f"https://{NAME}", True), ("https://app.example.com", True), ("https://evil.test", False)],
)
async def test_pages_are_told_apart_behind_the_proxy(
    proxy: Proxy, origin: str, let_in: bool
) -> None:
    """Since Host and Origin come through as they are."""
    connecting = proxy.connect(origin=origin)
    if let_in:
        async with connecting as client:
            assert client.connection.subprotocol == "bookcast.v1"
    else:
        assert await refusal_of(connecting) == 403


async def test_each_address_behind_the_proxy_has_its_own_limit(
    proxy: Proxy, served: tuple[Command, list[str]]
) -> None:
    """What one has used up, another still has, whatever the first one says of itself."""
    one, other = outside(), outside()
    async with proxy.connect(source=one), proxy.connect(source=one):
        assert await refusal_of(proxy.connect(source=one)) == 429
        for forged in forgeries(outside()):
            assert await refusal_of(proxy.connect(source=one, additional_headers=forged)) == 429
        async with proxy.connect(source=other):
            await logged(served[1], f'"address":"{one}"')
            await logged(served[1], f'"address":"{other}"')


async def test_no_header_of_the_client_changes_its_address(
    proxy: Proxy, served: tuple[Command, list[str]]
) -> None:
    """Not even where the server believes everything that comes through."""
    forged = outside()
    for headers in forgeries(forged):
        source = outside()
        async with proxy.connect(source=source, additional_headers=headers):
            await logged(served[1], f'"address":"{source}"')
    assert not any(forged in line for line in served[1])


def forgeries(address: str) -> list[list[tuple[str, str]]]:
    """Return headers with which a caller may claim to have an address."""
    return [
        [("X-Forwarded-For", address)],
        [("X-Forwarded-For", address), ("x-forwarded-for", f"{address}, {address}")],
        [("Forwarded", f"for={address}"), ("X-Real-IP", address), ("CF-Connecting-IP", address)],
    ]


def test_what_is_for_inside_is_kept_there(proxy: Proxy, served: tuple[Command, list[str]]) -> None:
    """However the path is written, and whatever the token allows."""
    admin = {"Authorization": f"Bearer {token_of('admin')}"}
    for target in ("/metrics", "/stats", "/stats?a=b"):
        assert proxy.request("GET", target, source=INSIDE, headers=admin).status_code == 200
    hidden = ["/metrics", "/stats", "/stats?a=b", "/metrics/", "/%6detrics", "/%6D%65trics?a"]
    for target in hidden:
        assert proxy.request("GET", target, headers=admin).status_code == 403, target
    odd = ["//metrics", "/./metrics", "/a/../metrics", "/metrics#a", "/a%2f..%2fmetrics"]
    for target in [*odd, f"https://{NAME}/metrics", "/%2fmetrics", "/metrics;a", "/metrics%00"]:
        answer = proxy.request("GET", target, headers=admin)
        assert answer.status_code in {400, 403, 404}, target
    target = "/broadcast/orderbook?symbol=AAPL"
    assert proxy.request("POST", target, headers=admin, json=BOOK).status_code == 403
    inside = proxy.request("POST", target, source=INSIDE, headers=admin, json=BOOK)
    assert inside.status_code == 200
    assert proxy.request("GET", "/books/AAPL", headers=admin).json()["data"]["bids"]
    assert proxy.request("GET", "/").status_code in {200, 503}  # the page, if it is built


def exchange(proxy: Proxy, *pieces: bytes) -> list[int]:
    """Send bytes over TLS, piece by piece; return the status of each answer until the close."""
    with (
        socket.create_connection(
            (own_address(), proxy.port), timeout=PATIENCE, source_address=(INSIDE, 0)
        ) as plain,
        proxy.certificate.trusted.wrap_socket(plain, server_hostname=NAME) as sock,
    ):
        for piece in pieces:
            sock.sendall(piece)
            time.sleep(0.05 if len(pieces) < 5 else 0)  # so that the proxy sends it by itself
        data = b""
        with contextlib.suppress(ssl.SSLEOFError, ConnectionResetError):
            while piece := sock.recv(65536):
                data += piece
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", data)]


H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
"""What a Java HttpClient offers with each request."""


def publication(symbol: str, body: str, *, path: str = "/broadcast/orderbook") -> bytes:
    """Write a publication with an offer to upgrade to HTTP/2."""
    head = (
        f"POST {path}?symbol={symbol} HTTP/1.1\r\nHost: {NAME}\r\n{H2C}"
        f"Authorization: Bearer {token_of('publisher')}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


def test_a_body_behind_an_offer_to_upgrade_comes_through_as_a_body(
    proxy: Proxy, served: tuple[Command, list[str]]
) -> None:
    """In one segment, in two, byte by byte, pipelined, and where it looks like a request."""
    body = json.dumps(BOOK)
    one = publication("H2C", body)
    last = f"GET /livez HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode()
    split = len(one) - len(body)
    assert exchange(proxy, one + last) == [200, 200]
    assert exchange(proxy, one[:split], one[split:] + last) == [200, 200]
    assert exchange(proxy, *(bytes([byte]) for byte in one + last)) == [200, 200]
    assert exchange(proxy, one + one + last) == [200, 200, 200]
    smuggled = publication("EVIL", body).decode()
    for path, status in (("/broadcast/orderbook", 400), ("/nowhere", 404)):
        data = publication("H2C", smuggled, path=path)
        split = len(data) - len(smuggled)
        assert exchange(proxy, data + last) == [status, 200]
        assert exchange(proxy, data[:split], data[split:] + last) == [status, 200]
    expecting = one.replace(b"Content-Type", b"Expect: 100-continue\r\nContent-Type")
    split = len(expecting) - len(body)
    assert exchange(proxy, expecting[:split], expecting[split:] + last)[-2:] == [200, 200]
    admin = {"Authorization": f"Bearer {token_of('admin')}"}
    books = f"{served[0].http_url}/books"
    assert httpx.get(f"{books}/EVIL", headers=admin, trust_env=False).status_code == 404
    known = httpx.get(f"{books}/H2C", headers=admin, trust_env=False)
    assert known.json()["seq"] % 6 == 0  # five publications and one that waited for 100 Continue


def test_a_handshake_with_a_body_opens_nothing_behind_the_proxy(proxy: Proxy) -> None:
    """Neither the body nor what follows is read as a request or as frames."""
    smuggled = publication("EVIL", json.dumps(BOOK))
    for framing, body in (
        (b"Content-Length: %d" % len(smuggled), smuggled),
        (b"Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(smuggled), smuggled)),
    ):
        head = handshake("/ws/me", framing.decode(), "Connection: close").replace(
            b"Host: 127.0.0.1", f"Host: {NAME}".encode()
        )
        # HAProxy takes the offer away from a request with a body.
        for pieces in ([head + body], [head, body]):
            [status] = exchange(proxy, *pieces)
            assert status in {400, 426}


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_plain_http_leads_to_https(
    kind: str, served: tuple[Command, list[str]], certificate: Certificate, tmp_path: Path
) -> None:
    """With path and query, and under our name whatever the client calls us."""
    with before(address_of(served[0]), kind, tmp_path, certificate) as proxy:
        answer = proxy.request_plainly("/ws/me?symbols=AAPL", host="evil.test")
    assert answer.status_code == 308
    assert answer.headers["Location"] == f"https://{NAME}/ws/me?symbols=AAPL"


FEW_CONNECTIONS: dict[str, Substitutions] = {
    "nginx": [("limit_conn connections 200;", "limit_conn connections 1;")],
    "haproxy": [("sc0_conn_cur gt 200", "sc0_conn_cur gt 1")],
}
FEW_REQUESTS: dict[str, Substitutions] = {
    "nginx": [("rate=20r/s", "rate=1r/m"), ("burst=100", "burst=3")],
    "haproxy": [("sc0_http_req_rate gt 200", "sc0_http_req_rate gt 3")],
}
"""The samples' limits, so low that a single client reaches them."""


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
async def test_the_proxys_limit_of_connections_holds_for_each_address(
    kind: str, served: tuple[Command, list[str]], certificate: Certificate, tmp_path: Path
) -> None:
    """WebSockets count for as long as they are open."""
    upstream, more = address_of(served[0]), FEW_CONNECTIONS[kind]
    one = outside()
    with before(upstream, kind, tmp_path, certificate, more=more) as proxy:
        async with proxy.connect(source=one):
            # HAProxy doesn't even begin to speak TLS.
            with pytest.raises((InvalidStatus, OSError)) as refused:
                async with proxy.connect(source=one):
                    pass
            if isinstance(refused.value, InvalidStatus):
                assert refused.value.response.status_code == 429
            async with proxy.connect():
                pass


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_the_proxys_limit_of_requests_holds_for_each_address(
    kind: str, served: tuple[Command, list[str]], certificate: Certificate, tmp_path: Path
) -> None:
    """What one has used up, another still has."""
    upstream, more = address_of(served[0]), FEW_REQUESTS[kind]
    busy = outside()
    with before(upstream, kind, tmp_path, certificate, more=more) as proxy:
        codes = [proxy.request("GET", "/livez", source=busy).status_code for _ in range(6)]
        assert codes[0] == 200
        assert codes[-1] == 429
        assert proxy.request("GET", "/livez").status_code == 200


async def test_nobody_names_themselves_to_a_server_that_believes_the_proxy(
    certificate: Certificate, tmp_path: Path
) -> None:
    """With AUTH_MODE=proxy, the client's X-Forwarded-User is taken away."""
    named = {"X-Forwarded-User": "admin"}
    with serving(AUTH_MODE="proxy") as (served, _):
        url = f"ws://{address_of(served)}/ws/me"
        async with connect(url, additional_headers=named, origin="https://app.example.com"):
            pass
        for kind in KINDS:
            with before(address_of(served), kind, tmp_path, certificate) as proxy:
                connecting = proxy.connect(token=None, additional_headers=named)
                assert await refusal_of(connecting) == 401


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
async def test_an_unknown_proxy_makes_all_look_like_one_and_the_log_says_so(
    kind: str, certificate: Certificate, tmp_path: Path
) -> None:
    """The log names the setting that separates the clients."""
    with (
        serving(TRUSTED_PROXIES="") as (served, log),
        before(address_of(served), kind, tmp_path, certificate) as proxy,
    ):
        async with proxy.connect(), proxy.connect():
            assert await refusal_of(proxy.connect()) == 429
        await logged(log, "add it to TRUSTED_PROXIES")
    [warning, *_] = [line for line in log if "TRUSTED_PROXIES" in line]
    assert '"warning"' in warning
    assert "127.0.0.1 forwards requests of others" in warning


@pytest.mark.parametrize("kind", ["haproxy, PROXY v1", "haproxy, PROXY v2"])
async def test_the_proxy_protocol_of_an_unknown_proxy_is_refused_and_the_log_says_so(
    kind: str, certificate: Certificate, tmp_path: Path
) -> None:
    """Naming the setting that would take it."""
    with (
        serving(TRUSTED_PROXIES="") as (served, log),
        before(address_of(served), kind, tmp_path, certificate) as proxy,
    ):
        assert await refusal_of(proxy.connect()) in {400, 502, 503}
        await logged(log, "127.0.0.1 speaks the PROXY protocol and isn't trusted")
    [warning, *_] = [line for line in log if "speaks the PROXY protocol" in line]
    assert '"warning"' in warning
    assert "TRUSTED_PROXIES" in warning


async def test_a_token_stands_in_no_log(certificate: Certificate, tmp_path: Path) -> None:
    """Not the proxy's and not ours at debug, in a query or a header, refused or not."""
    soon = token_of("alice", seconds=200)
    wrong = soon[:-8] + "AAAAAAAA"
    with serving() as (served, log), contextlib.ExitStack() as stack:
        proxies = [
            stack.enter_context(before(address_of(served), kind, tmp_path, certificate))
            for kind in KINDS
        ]
        for proxy in proxies:
            async with proxy.connect(token=soon):
                pass
            async with proxy.connect(f"?token={soon}", token=None):
                pass
            assert await refusal_of(proxy.connect(token=wrong)) == 401
            assert await refusal_of(proxy.connect(f"?token={wrong}", token=None)) == 401
            proxy.request("GET", "/books/NONE", headers={"Authorization": f"Bearer {soon}"})
            assert proxy.request("GET", f"/metrics?token={soon}").status_code == 403
            assert proxy.request_plainly(f"/ws/me?token={soon}").status_code == 308
        served.end(signal.SIGTERM)
        for proxy in proxies:
            path = f"/ws/last?token={soon}"
            referer = {"Referer": f"https://{NAME}/?token={soon}"}
            assert proxy.request("GET", path, headers=referer).status_code in {502, 503}
            await eventually(lambda proxy=proxy: "/ws/last" in proxy.log(), "the last request")  # type: ignore[misc] # no type can be inferred for a lambda with a default
            assert "/metrics" in proxy.log()
            assert_without(soon, proxy.log())
    assert any("connection opened" in line for line in log)
    assert any("handshake refused" in line for line in log)
    assert_without(soon, "".join(log))


def assert_without(token: str, log: str) -> None:
    """Look for each part of a token, but for the head that all of them share."""
    for part in token.split(".")[1:]:
        assert part not in log
    assert "token=" not in log


async def test_clients_come_back_after_the_server_was_restarted(
    certificate: Certificate, tmp_path: Path
) -> None:
    """They hear of an end in good order, see one that wasn't, and find the server again."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        proxies = [
            stack.enter_context(before(f"{own_address()}:{port}", kind, tmp_path, certificate))
            for kind in KINDS
        ]
        for how, code in ((signal.SIGTERM, 1012), (signal.SIGKILL, 1006)):
            with serving(port) as (served, _):
                async with contextlib.AsyncExitStack() as clients:
                    connected = []
                    for proxy in proxies:
                        await until_it_serves(proxy)
                        connected.append(await clients.enter_async_context(proxy.connect()))
                    await asyncio.to_thread(served.end, how)
                    for client in connected:
                        await asyncio.wait_for(client.connection.wait_closed(), PATIENCE)
                        assert client.connection.close_code == code
        with serving(port) as (served, _):
            for proxy in proxies:
                await until_it_serves(proxy)
                await receive_book(proxy, served, "US.AFTER")
