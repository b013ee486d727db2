import asyncio
import logging
import socket
import threading

import pytest

import bookcast
from bookcast import InvalidInput, Server, StartupError, serve
from tests.support import connect

BOOK = {"bids": [[189.5, 300]], "asks": [[189.6, 100]]}


def test_the_public_names_are_these() -> None:
    """Others may change without notice."""
    assert sorted(bookcast.__all__) == [
        "BookcastError",
        "InvalidInput",
        "Published",
        "Server",
        "SettingError",
        "StartupError",
        "__version__",
        "serve",
    ]
    assert all(hasattr(bookcast, name) for name in bookcast.__all__)


async def test_a_program_publishes_in_process(server: Server) -> None:
    """It learns the position and how many saw it; a wrong book is refused."""
    async with connect(server.ws_url + "me?symbols=AAPL") as client:
        await client.hear()
        published = await server.publish("AAPL", BOOK)
        assert (published.symbol, published.seq, published.subscribers) == ("AAPL", 1, 1)
        assert (await client.hear())["data"] == BOOK
        with pytest.raises(InvalidInput, match=r"bids\[0\]\[1\]"):
            await server.publish("AAPL", {"bids": [[1, -1]], "asks": []})
        assert await client.silent()


async def test_a_callback_in_another_thread_publishes_too(server: Server) -> None:
    """As futu-api's callbacks come on threads of their own."""
    async with connect(server.ws_url + "me?symbols=AAPL") as client:
        await client.hear()
        thread = threading.Thread(target=server.publish_threadsafe, args=("AAPL", BOOK))
        thread.start()
        assert (await client.hear())["data"] == BOOK
        thread.join()


async def test_publishing_needs_a_server_that_runs() -> None:
    """Before the start and after the stop, the error says so."""
    server = serve(port=0)
    with pytest.raises(StartupError, match="start it first"):
        server.publish_threadsafe("AAPL", BOOK)
    async with server:
        await server.publish("AAPL", BOOK)
    with pytest.raises(StartupError, match="start it first"):
        await server.publish("AAPL", BOOK)
    await server.stop()
    async with server:
        with pytest.raises(StartupError, match="runs already"):
            await server.start()


async def test_a_taken_port_is_one_clear_sentence() -> None:
    """It names the port and the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupError) as caught:
            await serve(port=port).start()
    assert f"Port {port} on 127.0.0.1 is already in use" in str(caught.value)
    assert "WEBSOCKET_PORT" in str(caught.value)


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("no-such-host.invalid", "can't be resolved"),
        ("x" * 64 + ".invalid", "can't be resolved"),
        ("192.0.2.1", "doesn't have that address"),
    ],
)
async def test_a_wrong_host_is_one_clear_sentence(host: str, sentence: str) -> None:
    """It names the setting."""
    with pytest.raises(StartupError) as caught:
        await serve(host=host, port=0).start()
    assert sentence in str(caught.value)
    assert "HOST" in str(caught.value)


async def test_localhost_is_served_on_all_its_addresses() -> None:
    """IPv4 and IPv6 alike, on the same port."""
    async with serve(host="localhost", port=0) as server:
        found = await asyncio.get_running_loop().getaddrinfo(
            "localhost", server.port, type=socket.SOCK_STREAM
        )
        for _, _, _, _, address in found:
            _, writer = await asyncio.open_connection(str(address[0]), server.port)
            writer.close()
    async with serve(host="::", port=0) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.close()
    assert serve(host="::1", port=8002).http_url == "http://[::1]:8002"
    assert serve(host="0.0.0.0", port=8002).ws_url == "ws://127.0.0.1:8002/ws/"


async def test_a_server_can_be_started_again_after_a_stop() -> None:
    """On the same port, at once."""
    async with serve(port=0) as first:
        port = first.port
    async with serve(port=port) as second, connect(second.ws_url + "me") as client:
        assert await client.silent()


async def test_redis_is_not_pretended(caplog: pytest.LogCaptureFixture) -> None:
    """A setting that this version can't honour is said so aloud."""
    with caplog.at_level(logging.WARNING):
        async with serve(port=0, redis_url="redis://redis:6379"):
            pass
    assert "REDIS_URL is set" in caplog.text


async def test_an_embedding_programs_debug_log_tells_the_whole_story(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Connections, messages and where updates went, under bookcast's own logger names."""
    with caplog.at_level(logging.DEBUG, "bookcast"):
        async with serve(port=0) as server, connect(server.ws_url + "me") as client:
            await client.subscribe("AAPL")
            await server.publish("AAPL", BOOK)
            await client.hear()
    assert all(
        words in caplog.text
        for words in (
            "client 'me' connected",
            'says b\'{"action": "subscribe", "symbol": "AAPL"}\'',
            "orderbook:US.AAPL seq 1 as AAPL: sent to 1",
            "client 'me' left",
        )
    )
