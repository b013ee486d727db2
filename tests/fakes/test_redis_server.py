"""The Redis servers of the tests, which must break exactly as a test says."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import redis.cluster
from redis.exceptions import MovedError

from tests.fakes import redis_server
from tests.fakes.redis_server import HOST, PATIENCE, RedisCluster, RedisServer
from tests.support import missing


@pytest.fixture(scope="module", autouse=True)
def _programs() -> None:
    """Check that every program is installed."""
    for name in ("redis-server", "redis-cli", "openssl"):
        if shutil.which(name) is None:
            missing(f"no {name} on the PATH: install it to test with Redis")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Yield a Redis without options."""
    with RedisServer(tmp_path) as running:
        yield running


def ask(port: int, *, timeout: float) -> bytes:
    """Send a PING, and return what arrives in time."""
    with socket.create_connection((HOST, port), timeout=timeout) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(100)


def test_replies_are_given_as_text(server: RedisServer) -> None:
    """Whatever kind of reply it is."""
    assert server.cli("SET", "key", 1) == "OK"
    assert server.cli("GET", "key") == "1"
    assert server.cli("GET", "none") == ""
    assert server.cli("INCR", "key") == "2"
    assert server.cli("RPUSH", "list", "a", "b") == "2"
    assert server.cli("LRANGE", "list", 0, -1) == "a\nb"
    assert server.cli("CONFIG", "GET", "appendonly") == "appendonly\nno"
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        server.cli("GET", "list")


def test_tests_may_break_it(server: RedisServer) -> None:
    """By the commands that production forbids."""
    with server.client() as client:
        before = client.client_id()
        assert server.cli("CLIENT", "KILL", "TYPE", "normal") == "1"
        assert client.client_id() != before
    assert server.cli("DEBUG", "SLEEP", "0.01") == "OK"
    assert server.cli("CONFIG", "SET", "maxmemory", "1") == "OK"
    with pytest.raises(redis.ResponseError, match="maxmemory"):
        server.cli("SET", "key", "value")


def test_options_reach_the_server(tmp_path: Path) -> None:
    """A password of any characters is in the URL, and nobody comes in without it."""
    with RedisServer(
        tmp_path, password="p@ss/w:rd %", maxmemory="5mb", config=["maxmemory-policy allkeys-lru"]
    ) as server:
        assert server.cli("CONFIG", "GET", "maxmemory") == f"maxmemory\n{5 * 1024**2}"
        assert server.cli("CONFIG", "GET", "maxmemory-policy") == "maxmemory-policy\nallkeys-lru"
        assert ask(server.port, timeout=5).startswith(b"-NOAUTH")


def test_a_server_with_tls_is_trusted_by_its_certificate_alone(tmp_path: Path) -> None:
    """Its own port takes nothing else, and it keeps its certificate over a restart."""
    with RedisServer(tmp_path, tls=True, password="secret") as server:
        assert server.url.startswith("rediss://:secret@127.0.0.1:")
        server.restart()
        assert server.cli("PING") == "PONG"
        with redis.Redis.from_url(server.url) as stranger, pytest.raises(redis.ConnectionError):
            stranger.ping()
        with pytest.raises(redis.RedisError):
            redis.Redis.from_url(server.url.replace("rediss", "redis")).ping()


@pytest.mark.parametrize("persist", [False, True])
def test_data_survive_an_end_of_any_kind_where_they_are_to(tmp_path: Path, persist: bool) -> None:
    """The port stays the same."""
    with RedisServer(tmp_path, persist=persist) as server:
        port = server.port
        for end in (server.stop, server.kill):
            server.cli("SET", "key", "value")
            end()
            with pytest.raises(ConnectionRefusedError):
                ask(port, timeout=5)
            server.start()
            assert server.cli("GET", "key") == ("value" if persist else "")
        server.restart()
        assert server.cli("EXISTS", "key") == str(int(persist))
        assert server.port == port


def test_a_paused_server_accepts_and_says_nothing(server: RedisServer) -> None:
    """Once resumed it answers, and it can be ended while it is paused."""
    for _ in range(2):
        server.pause()
        server.pause()
        with pytest.raises(TimeoutError):
            ask(server.port, timeout=0.05)
        server.resume()
        assert ask(server.port, timeout=5) == b"+PONG\r\n"
    server.pause()
    server.stop()
    server.stop()


def test_a_server_that_has_ended_by_itself_can_be_started_again(server: RedisServer) -> None:
    """As it can where it was stopped."""
    with pytest.raises(redis.ConnectionError):
        server.cli("SHUTDOWN", "NOW")
    server.process.wait(PATIENCE)
    server.start()
    assert server.cli("PING") == "PONG"


def test_a_port_that_was_taken_meanwhile_is_given_up(
    tmp_path: Path, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another Redis answers on it; but a port that was had before is insisted on."""
    ports = iter([server.port, redis_server.free_port()])
    monkeypatch.setattr(redis_server, "free_port", lambda: next(ports))
    with RedisServer(tmp_path / "other") as other:
        assert other.port != server.port
        other.stop()
        with (
            socket.create_server((HOST, other.port)),
            pytest.raises(AssertionError, match="in use"),
        ):
            other.start()
        other.start()


def test_a_configuration_that_redis_refuses_says_so(tmp_path: Path) -> None:
    """With Redis's own words."""
    with pytest.raises(AssertionError, match="Bad directive"):
        RedisServer(tmp_path, config=["no-such-setting yes"]).start()


def test_a_cluster_serves_every_slot(tmp_path: Path) -> None:
    """It sends a client on that asks the wrong node, and comes back after it was stopped."""
    with RedisCluster(tmp_path) as cluster:
        with redis.cluster.RedisCluster.from_url(cluster.url) as client:
            for number in range(30):
                assert client.set(f"key{number}", number)
        sizes = [int(node.cli("DBSIZE")) for node in cluster.nodes]
        assert sum(sizes) == 30
        assert all(sizes)
        elsewhere = cluster.nodes[1].cli("RANDOMKEY")
        with pytest.raises(MovedError):
            cluster.nodes[0].cli("GET", elsewhere)
        cluster.stop()
        cluster.start()
