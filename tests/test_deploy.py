"""The samples in deploy/: read as they stand, and run where their program is here."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from websockets.utils import accept_key

from bookcast.http import client_script, read_query
from bookcast.settings import Settings, load
from bookcast.testing import ServerThread
from tests.e2e import test_proxies
from tests.e2e.test_proxies import (
    INSIDE,
    NAME,
    SAMPLES,
    Certificate,
    Proxy,
    Substitutions,
    before,
    free_port,
    own_address,
    substitute,
)
from tests.support import PATIENCE, ROOT, missing
from tests.test_containers import SETTINGS

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
MANUAL = (ROOT / "docs" / "deployment.md").read_text()

certificate_files = test_proxies.certificate
"""The fixture of the tests that run the same samples before a real bookcast."""


def settings_in(text: str) -> dict[str, str]:
    """Read a file of settings, as systemd, Kustomize and .env have them."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def named_in(text: str) -> set[str]:
    """Name the settings that a text gives values to, in comments too."""
    return set(re.findall(r"\b([A-Z]+(?:_[A-Z]+)*)=", text))


def unknown(names: Iterable[str]) -> set[str]:
    """Give those of some names that are neither settings nor files with a setting in them."""
    return {name for name in names if not {name, name.removesuffix("_FILE")} & SETTINGS}


# --- Proxies


class Node(ThreadingHTTPServer):
    """What a proxy sees of a node, so that a test decides how it is."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__((own_address(), 0), _Answer)
        self.asked: list[str] = []
        self.ready = True
        self.refuses = False

    @property
    def address(self) -> str:
        """Where it listens, as proxies are told it."""
        return f"{own_address()}:{self.server_port}"

    def handle_error(self, *_arguments: Any) -> None:
        """Say nothing: who looks for a node hangs up when it has seen enough."""


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Node

    def do_GET(self) -> None:
        if self.path == "/readyz":
            self._answer(200 if self.server.ready else 503)
            return
        self.server.asked.append(f"{self.command} {self.path}")
        if self.server.refuses:
            self._answer(503)
        elif "Upgrade" in self.headers:
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", accept_key(self.headers["Sec-WebSocket-Key"]))
            self.end_headers()
            # From here on it says what it hears.
            while data := self.rfile.read1():
                self.wfile.write(data)
            self.close_connection = True
        else:
            self._answer(200)

    do_POST = do_GET  # noqa: N815 - the library's name for it

    def _answer(self, status: int) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def nodes() -> Iterator[list[Node]]:
    """Run three nodes."""
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(Node()) for _ in range(3)]
        for node in running:
            threading.Thread(target=node.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(node.shutdown)
        yield running


def more_nodes(kind: str, first: str, *more: str) -> Substitutions:
    """Write nodes into a sample, below its first one."""
    line = {"nginx": "server {1};", "haproxy": "    server node{0} {1}  # by header; yours"}[kind]
    lines = [line.format(number, address) for number, address in enumerate((first, *more), 1)]
    return [(lines[0], "\n".join(lines))]


UNCHECKED = ("    default-server check inter 100ms fastinter 500ms fall 2 rise 1\n", "")
"""For HAProxy, which would have noticed a dead node before a test could ask for it."""

STICKY: dict[str, Substitutions] = {
    "nginx": [("least_conn;  #", "#"), ("# hash $client", "hash $client")],
    "haproxy": [
        ("    balance leastconn", "    # balance leastconn"),
        ("# http-request set-var", "http-request set-var"),
        ("# balance hash", "balance hash"),
        ("# hash-type", "hash-type"),
        ("# hash-balance-factor", "hash-balance-factor"),
    ],
}
"""The alternative that the samples' comments tell of."""


@pytest.fixture(params=["nginx", "haproxy"])
def kind(request: pytest.FixtureRequest) -> str:
    """Name each program, where it is here."""
    name: str = request.param
    for program in (name, "openssl"):
        if shutil.which(program) is None:
            missing(f"no {program} on the PATH: install it to test the samples in deploy/")
    return name


def asked(proxy: Proxy, *clients: str) -> list[int]:
    """Ask for the WebSocket of each of these clients, and give the answers."""
    return [proxy.request("GET", f"/ws/{client}").status_code for client in clients]


def publish(proxy: Proxy) -> int:
    """Publish something from inside, and give the answer."""
    target = "/broadcast/orderbook?symbol=AAPL"
    return proxy.request("POST", target, source=INSIDE, json={}).status_code


def test_a_dead_node_is_seen_by_nobody(
    kind: str, nodes: list[Node], certificate_files: Certificate, tmp_path: Path
) -> None:
    """Not even in the moment before the proxy knows."""
    dead = f"{own_address()}:{free_port()}"
    more = [*more_nodes(kind, dead, nodes[0].address), *([UNCHECKED] if kind == "haproxy" else [])]
    with before(dead, kind, tmp_path, certificate_files, more=more) as proxy:
        assert asked(proxy, *"abcdef") == [200] * 6
        assert [publish(proxy) for _ in range(4)] == [200] * 4
    assert len(nodes[0].asked) == 10


def test_a_handshake_goes_on_to_the_next_node_and_a_publication_does_not(
    kind: str, nodes: list[Node], certificate_files: Certificate, tmp_path: Path
) -> None:
    """What a node refuses is tried at another, unless it could have an effect twice."""
    one, other, _ = nodes
    one.refuses = True
    more = more_nodes(kind, one.address, other.address)
    with before(one.address, kind, tmp_path, certificate_files, more=more) as proxy:
        assert 503 in [publish(proxy) for _ in range(4)]
        assert len(one.asked + other.asked) == 4
        assert asked(proxy, *"abcdef") == [200] * 6
        assert any(line.startswith("GET") for line in one.asked)


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that a proxy notices."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextlib.contextmanager
def upgraded(proxy: Proxy, client: str) -> Iterator[ssl.SSLSocket]:
    """Open what looks like a WebSocket to a proxy."""
    context = proxy.certificate.trusted
    with (
        socket.create_connection((own_address(), proxy.port), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=NAME) as stream,
    ):
        stream.sendall(
            f"GET /ws/{client} HTTP/1.1\r\nHost: {NAME}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        assert b" 101 " in stream.recv(4096)
        yield stream


@pytest.mark.parametrize("kind", ["haproxy"], indirect=True)
def test_a_node_that_ends_gets_nobody_new_and_keeps_whom_it_has(
    kind: str, nodes: list[Node], certificate_files: Certificate, tmp_path: Path
) -> None:
    """As long as it fails /readyz; after that it is one of them again."""
    one, other, _ = nodes
    other.ready = False
    more = [*more_nodes(kind, one.address, other.address), ("fastinter 500ms", "fastinter 50ms")]
    with before(one.address, kind, tmp_path, certificate_files, more=more) as proxy:

        def goes_to(node: Node) -> bool:
            count = len(node.asked)
            asked(proxy, *"ab")
            return len(node.asked) == count + 2

        until(lambda: goes_to(one))
        with upgraded(proxy, "stays") as stream:
            one.ready, other.ready = False, True
            until(lambda: goes_to(other))
            stream.sendall(b"still there?")
            assert stream.recv(100) == b"still there?"
            one.ready, other.ready = True, False
            until(lambda: goes_to(one))


def test_a_sticky_proxy_leads_a_client_back_to_its_node(
    kind: str, nodes: list[Node], certificate_files: Certificate, tmp_path: Path
) -> None:
    """Spreads clients and publications, and moves nobody else when a node is gone."""
    clients = [f"client-{number}" for number in range(16)]
    addresses = [node.address for node in nodes]
    more = [*STICKY[kind], *more_nodes(kind, *addresses)]

    def where() -> dict[str, int]:
        """Tell which node each client was led to."""
        for node in nodes:
            node.asked.clear()
        assert asked(proxy, *[f"{client}?symbols={time.time()}" for client in clients])
        found = {}
        for number, node in enumerate(nodes):
            for line in node.asked:
                found[line.split("/")[2].partition("?")[0]] = number
        return found

    with before(addresses[0], kind, tmp_path, certificate_files, more=more) as proxy:
        at_first = where()
        assert set(at_first) == set(clients)
        assert len(set(at_first.values())) > 1
        assert where() == at_first
        for _ in range(9):
            publish(proxy)
        assert sum(any("POST" in line for line in node.asked) for node in nodes) > 1
        gone = at_first[clients[0]]
        nodes[gone].refuses = True
        nodes[gone].ready = False
        for client, number in at_first.items():
            if number != gone:
                nodes[number].asked.clear()
                assert asked(proxy, client) == [200]
                assert nodes[number].asked
            else:
                assert asked(proxy, client) == [200]


CHECKED = {
    "as it stands": SAMPLES["haproxy"],
    "sticky": substitute(SAMPLES["haproxy"], *STICKY["haproxy"]),
    "more nodes": SAMPLES["haproxy"].replace("# server node2", "server node2"),
    "compose": (DEPLOY / "haproxy-compose.cfg").read_text(),
}


@pytest.mark.parametrize("name", CHECKED)
@pytest.mark.parametrize("kind", ["haproxy"], indirect=True)
def test_haproxy_has_nothing_to_say_about_its_samples(
    kind: str, name: str, certificate_files: Certificate, tmp_path: Path
) -> None:
    """No warning either."""
    text = CHECKED[name]
    # Users and certificates of a machine that runs it.
    text = text.replace("    user haproxy\n    group haproxy\n", "")
    text = text.replace("/etc/haproxy/certs/bookcast.example.pem", str(certificate_files.both))
    path = tmp_path / "haproxy.cfg"
    path.write_text(text)
    result = subprocess.run(
        [kind, "-c", "-dW", "-f", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr


# --- systemd

UNIT = (DEPLOY / "bookcast.service").read_text()
UNIT_SETTINGS = settings_in((DEPLOY / "bookcast.env").read_text())


def of_unit(name: str) -> list[str]:
    """Give the values of a directive, in their order."""
    return re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """All of it."""
    if (program := shutil.which("systemd-analyze")) is None:
        pytest.skip("no systemd-analyze on the PATH")
    path = tmp_path / "bookcast.service"
    path.write_text(UNIT.replace("/opt/bookcast/bin/bookcast", sys.executable))
    result = subprocess.run(
        [program, "verify", str(path)], capture_output=True, text=True, check=False, timeout=30
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_the_unit_waits_until_everybody_was_sent_away() -> None:
    """And asks the main process alone, which tells its workers."""
    assert of_unit("KillSignal") == ["SIGTERM"]
    assert of_unit("KillMode") == ["mixed"]
    [patience] = of_unit("TimeoutStopSec")
    assert float(patience) > float(UNIT_SETTINGS["DRAIN_SECONDS"])
    assert of_unit("Restart") == ["on-failure"]


def test_the_unit_starts_a_server(tmp_path: Path) -> None:
    """With its settings and its secrets, none of which is in vain."""
    credentials = {one.split(":")[0] for one in of_unit("LoadCredential")}
    secrets = dict(line.split("=", 1) for line in of_unit("Environment"))
    assert set(secrets.values()) == {f"%d/{name}" for name in credentials}
    for name in credentials:
        (tmp_path / name).write_text("a secret that is long enough for a token")
    (tmp_path / "redis-url").write_text("redis://localhost:6379")
    given = {name: value.replace("%d", str(tmp_path)) for name, value in secrets.items()}
    assert unknown({*secrets, *named_in((DEPLOY / "bookcast.env").read_text())}) == set()
    settings = load({}, {**UNIT_SETTINGS, **given}, None).settings
    assert settings.auth_mode == "jwt"
    assert settings.redis_url == "redis://localhost:6379"


# --- Kubernetes

KUSTOMIZATIONS = sorted(path.parent for path in KUBERNETES.rglob("kustomization.yaml"))
MANIFESTS = sorted(path for path in KUBERNETES.rglob("*.yaml") if path.name != "kustomization.yaml")
OBJECTS: list[Any] = [
    document for path in MANIFESTS for document in yaml.safe_load_all(path.read_text())
]
POD_SETTINGS = settings_in((KUBERNETES / "base" / "bookcast.env").read_text())


def the(kind: str, name: str = "bookcast") -> Any:
    """Give the object of this kind and name."""
    [found] = [one for one in OBJECTS if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def kustomization(folder: Path) -> Any:
    """Read a folder's list."""
    return yaml.safe_load((folder / "kustomization.yaml").read_text())


POD: Any = the("Deployment")["spec"]["template"]["spec"]
CONTAINER: Any = POD["containers"][0]


def test_kubernetes_has_all_that_it_takes() -> None:
    """Each object once, in the folder of those who need it, and in no namespace of its own."""
    assert [(one["kind"], one["metadata"]["name"]) for one in OBJECTS] == [
        ("HorizontalPodAutoscaler", "bookcast"),
        ("Deployment", "bookcast"),
        ("PodDisruptionBudget", "bookcast"),
        ("Ingress", "bookcast"),
        ("Service", "bookcast"),
        ("NetworkPolicy", "bookcast"),
        ("NetworkPolicy", "redis"),
        ("Service", "opend"),
        ("EndpointSlice", "opend"),
        ("Deployment", "redis"),
        ("Service", "redis"),
    ]
    assert not any("namespace" in one["metadata"] for one in OBJECTS)


@pytest.mark.parametrize("folder", KUSTOMIZATIONS, ids=lambda folder: folder.name)
def test_a_kustomization_lists_every_file(folder: Path) -> None:
    """And nothing that isn't there."""
    content = kustomization(folder)
    component = folder.parent.name == "components"
    assert content["kind"] == ("Component" if component else "Kustomization")
    resources = content.get("resources", [])
    files = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
    assert {name for name in resources if name.endswith(".yaml")} == files
    others = [name for name in resources if not name.endswith(".yaml")]
    for name in [*others, *content.get("components", [])]:
        assert (folder / name / "kustomization.yaml").is_file()
    for generator in content.get("configMapGenerator", []):
        assert generator["name"] == "bookcast"
        for name in generator.get("envs", []):
            assert (folder / name).is_file()


def test_every_pod_is_selected_by_whoever_means_it() -> None:
    """Services, budgets, policies and the spread, by labels that the pods have."""
    pods = {
        one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"]
        for one in OBJECTS
        if one["kind"] == "Deployment"
    }
    for one in OBJECTS:
        name, spec = one["metadata"]["name"], one.get("spec", {})
        match one["kind"]:
            case "Deployment" | "PodDisruptionBudget":
                assert spec["selector"]["matchLabels"] == pods[name]
            case "Service" if name != "opend":
                assert spec["selector"] == pods[name]
            case "NetworkPolicy":
                assert spec["podSelector"]["matchLabels"] == pods[name]
        assert one["metadata"]["labels"]["app.kubernetes.io/name"] == name
    for constraint in POD["topologySpreadConstraints"]:
        assert constraint["labelSelector"]["matchLabels"] == pods["bookcast"]
    [policy] = the("NetworkPolicy", "redis")["spec"]["ingress"]
    assert policy["from"] == [{"podSelector": {"matchLabels": pods["bookcast"]}}]
    target = the("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", "bookcast")


def test_probes_ask_what_they_are_for() -> None:
    """Whether to start it anew, and whether to send it clients."""
    paths = {name: CONTAINER[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness")}
    assert all(probe == {"path": "/livez", "port": "http"} for probe in paths.values())
    assert CONTAINER["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    # Else they would have to bring a name along.
    assert "ALLOWED_HOSTS" not in POD_SETTINGS


def test_kubernetes_waits_until_everybody_was_sent_away() -> None:
    """What comes before SIGTERM takes its part of the time."""
    command, pause = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    needed = float(pause) + float(POD_SETTINGS["DRAIN_SECONDS"])
    assert POD["terminationGracePeriodSeconds"] > needed


def test_a_pod_may_do_little() -> None:
    """As the image's user, and nothing that a server doesn't need."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"USER {POD['securityContext']['runAsUser']}\n" in dockerfile
    for pod in (POD, the("Deployment", "redis")["spec"]["template"]["spec"]):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


def test_one_port_leads_to_the_server() -> None:
    """From the Ingress through the Service to the pod, and for whoever watches it."""
    port = int(POD_SETTINGS["WEBSOCKET_PORT"])
    assert CONTAINER["ports"] == [{"name": "http", "containerPort": port}]
    assert the("Service")["spec"]["ports"] == [{"name": "http", "port": port, "targetPort": "http"}]
    annotations = the("Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port)
    [rule] = the("NetworkPolicy")["spec"]["ingress"]
    assert rule["ports"] == [{"port": port}]
    [redis] = the("Service", "redis")["spec"]["ports"]
    assert POD_SETTINGS["REDIS_URL"] == f"redis://redis:{redis['port']}"
    to = [each["port"] for rule in the("NetworkPolicy")["spec"]["egress"] for each in rule["ports"]]
    assert redis["port"] in to
    assert the("Service", "opend")["spec"]["ports"][0]["port"] in to


def test_kubernetes_sets_settings_that_there_are(tmp_path: Path) -> None:
    """In comments too; and the server starts with them, with every secret where it is mounted."""
    for path in KUBERNETES.rglob("*"):
        if path.name in {"bookcast.env", "kustomization.yaml"}:
            assert unknown(named_in(path.read_text())) == set()
    [mount] = [one for one in CONTAINER["volumeMounts"] if one["name"] == "secrets"]
    [secret] = kustomization(KUBERNETES / "try")["secretGenerator"]
    [volume] = [one for one in POD["volumes"] if one["name"] == "secrets"]
    assert volume["secret"]["secretName"] == secret["name"]
    settings = dict(POD_SETTINGS)
    for folder in KUSTOMIZATIONS:
        for generator in kustomization(folder).get("configMapGenerator", []):
            literals = generator.get("literals", [])
            assert not literals or generator["behavior"] == "merge"
            settings.update(literal.split("=", 1) for literal in literals)
    for name, value in settings.items():
        if name.endswith("_FILE"):
            where, _, key = value.rpartition("/")
            assert where == mount["mountPath"]
            assert key in secret["files"]
            (tmp_path / key).write_text("a secret that is long enough for a token")
            settings[name] = str(tmp_path / key)
    assert load({}, settings, None).settings.auth_mode == "jwt"


def test_no_secret_stands_in_the_samples() -> None:
    """They are read from files that Git doesn't take."""
    [secret] = kustomization(KUBERNETES / "try")["secretGenerator"]
    ignored = (KUBERNETES / "try" / ".gitignore").read_text().splitlines()
    assert set(secret) == {"name", "files"}
    assert {f"/{name}" for name in secret["files"]} <= set(ignored)
    assert "Secret" not in {one["kind"] for one in OBJECTS}


def test_the_ingress_lets_in_what_is_for_the_outside(bookcast_server: ServerThread) -> None:
    """Patiently, and nothing else."""
    annotations = the("Ingress")["metadata"]["annotations"]
    settings = Settings()
    for which in ("read", "send"):
        patience = annotations[f"nginx.ingress.kubernetes.io/proxy-{which}-timeout"]
        assert int(patience) > settings.ping_interval + settings.ping_timeout
    [rule] = the("Ingress")["spec"]["rules"]
    paths = {one["path"]: one for one in rule["http"]["paths"]}
    assert "Prefix" not in paths["/"]["pathType"]
    for one in paths.values():
        assert one["backend"]["service"] == {"name": "bookcast", "port": {"name": "http"}}
    for path in ("/ws/me", "/symbols", *(f"/{read}/NONE" for read in read_query.PATHS)):
        assert paths[f"/{path.split('/')[1]}"]["pathType"] == "Prefix"
        answer = httpx.get(f"{bookcast_server.http_url}{path}", trust_env=False)
        assert answer.json().get("code") != "not_found"
    assert paths[client_script.PATH]["pathType"] == "Exact"
    for hidden in ("/broadcast", "/metrics", "/stats", "/readyz"):
        assert not any(hidden.startswith(path) for path in paths if path != "/")


def test_the_autoscaler_goes_by_a_number_that_there_is(bookcast_server: ServerThread) -> None:
    """And is slow to send anybody away."""
    spec = the("HorizontalPodAutoscaler")["spec"]
    [metric] = spec["metrics"]
    name = metric["pods"]["metric"]["name"]
    numbers = httpx.get(f"{bookcast_server.http_url}/metrics", trust_env=False).text
    assert re.search(rf"^{name} ", numbers, re.MULTILINE)
    assert spec["minReplicas"] > 1
    # What it decides must not be undone by applying the Deployment again.
    assert "replicas" not in the("Deployment")["spec"]
    down = spec["behavior"]["scaleDown"]
    [policy] = down["policies"]
    assert (policy["type"], policy["value"]) == ("Pods", 1)
    assert policy["periodSeconds"] > POD["terminationGracePeriodSeconds"]
    assert down["stabilizationWindowSeconds"] > policy["periodSeconds"]


def test_opend_is_found_outside_the_cluster() -> None:
    """Under a name inside, at an address that the sample's reader puts in."""
    service, addresses = the("Service", "opend"), the("EndpointSlice", "opend")
    assert "selector" not in service["spec"]
    labels = addresses["metadata"]["labels"]
    assert labels["kubernetes.io/service-name"] == service["metadata"]["name"]
    [port] = service["spec"]["ports"]
    assert addresses["ports"] == [port]
    [generator] = kustomization(KUBERNETES / "components" / "opend")["configMapGenerator"]
    settings = dict(literal.split("=", 1) for literal in generator["literals"])
    assert settings["FUTU_HOST"] == service["metadata"]["name"]
    assert settings["FUTU_PORT"] == str(port["port"])


# --- The manual


def test_the_manual_leads_to_files_that_there_are() -> None:
    """And to headings that they have; no sample is left out."""
    for target in re.findall(r"\]\(([^)]+)\)", MANUAL):
        name, _, heading = target.partition("#")
        path = ROOT / "docs" / name if name else ROOT / "docs" / "deployment.md"
        assert path.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles}
            assert heading in slugs, target
    for sample in DEPLOY.iterdir():
        assert f"deploy/{sample.name}" in MANUAL, sample
    assert "compose.yaml" in MANUAL


def test_the_manual_names_settings_that_there_are() -> None:
    """And no others."""
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", MANUAL)) | named_in(MANUAL)
    assert unknown(named - {"NAME_FILE"}) == set()


def test_the_manual_tells_sizes_as_measured() -> None:
    """In a table, with the way to all figures."""
    section = MANUAL.partition("## Sizing")[2].partition("## Checklist")[0]
    assert "benchmarks.md#figures" in section
    assert section.count("\n| ") >= 6
