"""The container's files, checked without a container engine."""

import ast
import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from bookcast.http import app, client_script
from bookcast.settings import Settings, describe, load
from bookcast.testing import ServerThread
from tests.support import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
IGNORED = (ROOT / ".dockerignore").read_text().split()
COMPOSE: Any = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
BALANCER = (ROOT / "deploy" / "haproxy-compose.cfg").read_text()

SETTINGS = {description.environment_name for description in describe()}


def seconds(text: str) -> float:
    """Read a time as Compose and HAProxy write it."""
    assert text.endswith("s")
    return float(text.removesuffix("s"))


def instructions(name: str) -> list[str]:
    """Give the arguments of an instruction, with continued lines joined."""
    text = DOCKERFILE.replace("\\\n", " ")
    return re.findall(rf"^{name}\s+(.*)$", text, re.MULTILINE)


def test_the_dockerfile_pleases_its_linter() -> None:
    """Without exceptions."""
    result = subprocess.run(
        ["hadolint", str(ROOT / "Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"},  # noqa: PTH120 - inside a string
    )
    assert (result.returncode, result.stdout) == (0, "")


def test_everything_the_dockerfile_copies_is_there() -> None:
    """And is let through by .dockerignore."""
    for arguments in instructions("COPY"):
        if arguments.startswith("--from"):
            continue
        for source in arguments.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source.split('/')[0]}" in {entry.rstrip("/") for entry in IGNORED}


def test_the_container_does_not_run_as_root() -> None:
    """By number, so that an orchestrator can verify it."""
    assert instructions("USER") == ["10001"]


def test_the_containers_environment_is_made_of_settings() -> None:
    """And the server starts with it as compose gives it."""
    [variables] = instructions("ENV")
    given = dict(pair.split("=", 1) for pair in variables.split())
    ours = {
        name: value for name, value in given.items() if name not in {"PATH", "PYTHONUNBUFFERED"}
    }
    assert set(ours) <= SETTINGS
    for name in ("websocket_middleware", "node"):
        service = SERVICES[name]["environment"]
        assert set(service) <= SETTINGS
        plain = {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for name, value in service.items()}
        settings = load({}, {**ours, **plain}, None).settings
        assert (settings.host, settings.websocket_port) == ("0.0.0.0", 8002)
        assert settings.redis_url == "redis://redis:6379"


def test_compose_has_the_services_that_others_count_on() -> None:
    """Under the names that are addresses on its network."""
    assert {name for name, service in SERVICES.items() if "profiles" not in service} == {
        "websocket_middleware",
        "redis",
    }
    assert SERVICES["redis"]["image"].startswith("redis:7")
    assert SERVICES["websocket_middleware"]["ports"] == ["127.0.0.1:8002:8002"]


def test_compose_has_many_nodes_behind_a_balancer_when_it_is_told_so() -> None:
    """Beside the default service, whose port they leave alone."""
    scaled = {name for name, service in SERVICES.items() if "scaled" in service.get("profiles", ())}
    assert scaled == {"node", "balancer"}
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    published = [port.split(":")[1] for port in ports]
    assert len(set(published)) == len(published) == 2
    # The balancer alone has a port: of several replicas only one could have it.
    assert "ports" not in SERVICES["node"]
    assert SERVICES["node"]["deploy"]["replicas"] > 1


def test_composes_balancer_finds_every_node() -> None:
    """By the name and the port that they have, in as many places as there are nodes or more."""
    [(places, name, port)] = re.findall(r"server-template \w+ (\d+) (\w+):(\d+)", BALANCER)
    node = SERVICES[name]
    assert node["environment"]["WEBSOCKET_PORT"] == port
    assert int(places) >= node["deploy"]["replicas"]
    assert SERVICES["balancer"]["depends_on"] == [name]
    [volume] = SERVICES["balancer"]["volumes"]
    assert (ROOT / volume.split(":")[0]).read_text() == BALANCER
    [listens] = re.findall(r"bind :(\d+)", BALANCER)
    assert SERVICES["balancer"]["ports"][0].split(":")[2] == listens


def test_composes_balancer_is_more_patient_than_the_server() -> None:
    """So that it is bookcast who says that a client is gone."""
    patience = re.findall(r"timeout (?:client|server|tunnel) (\d+)s", BALANCER)
    assert len(patience) == 3
    settings = Settings()
    assert all(int(each) > settings.ping_interval + settings.ping_timeout for each in patience)


def test_docker_waits_until_everybody_was_sent_away() -> None:
    """It kills after 10 s what isn't told otherwise."""
    for name in ("websocket_middleware", "node"):
        grace = seconds(SERVICES[name].get("stop_grace_period", "10s"))
        assert grace > float(SERVICES[name]["environment"]["DRAIN_SECONDS"])


@pytest.mark.parametrize("proxy", [{}, {"HTTP_PROXY": "http://127.0.0.1:9"}])
@pytest.mark.parametrize(("alive", "code"), [(True, 0), (False, 1)])
def test_the_healthcheck_tells_alive_from_dead(
    bookcast_server: ServerThread, alive: bool, code: int, proxy: dict[str, str]
) -> None:
    """By the command in the Dockerfile, run as it stands there; a proxy isn't asked."""
    [health] = [a for a in instructions("HEALTHCHECK") if "CMD" in a]
    command = json.loads(health.partition("CMD ")[2])
    assert command[0] == "python"
    ast.parse(command[2])
    port = bookcast_server.http_url.rpartition(":")[2]
    if not alive:
        bookcast_server.stop()
    result = subprocess.run(
        [sys.executable, *command[1:]],
        env={
            **{name: value for name, value in os.environ.items() if name.lower() != "no_proxy"},
            **{spelling: url for name, url in proxy.items() for spelling in (name, name.lower())},
            "WEBSOCKET_PORT": port,
        },
        capture_output=True,
        check=False,
    )
    assert result.returncode == code


def test_the_image_has_what_make_builds() -> None:
    """The page and the client, from stages of their own, where the server looks for them."""
    copied = [arguments.split()[-1] for arguments in instructions("COPY") if "--from" in arguments]
    for file in (app.PAGE / "index.html", client_script.FILE):
        place = str(file.relative_to(ROOT))
        assert any(place.startswith(target) for target in copied), place
        # One that was built on the machine of whoever builds the image stays out of it.
        assert f"{file.parent.relative_to(ROOT)}/" in IGNORED


def test_what_npm_needs_is_copied_before_it_runs() -> None:
    """With .npmrc, by which a lock without addresses is understood, and the same Node for both."""
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    built = [stage for stage in stages if "npm ci" in stage]
    assert len(built) == 2
    for stage in built:
        before = stage.partition("RUN npm ci")[0]
        assert all(name in before for name in ("package.json", "package-lock.json", ".npmrc"))
    assert len({stage.split()[0] for stage in built}) == 1
