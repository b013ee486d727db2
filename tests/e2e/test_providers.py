"""Tokens as identity providers make them, checked with keys that come over HTTP."""

import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from bookcast import Server, serve
from tests.auth.keyring import jwk, rsa_key, sign
from tests.support import connect

ISSUER = "https://issuer.example/"

AUTH0 = (
    {"auth_jwt_audience": "https://bookcast.example/"},
    {
        "sub": "auth0|507f1f77bcf86cd799439020",
        "aud": ["https://bookcast.example/", "https://tenant.eu.auth0.com/userinfo"],
        "azp": "my_client_id",
        "scope": "openid profile email",
    },
)
KEYCLOAK = (
    {"auth_jwt_audience": "account"},
    {
        "sub": "5f1c2a55-8d1f-4b1c-9f0e-0b9c3f6f3a11",
        "aud": "account",
        "typ": "Bearer",
        "azp": "web",
        "realm_access": {"roles": ["offline_access"]},
        "scope": "openid email profile",
    },
)
ENTRA = (
    {"auth_jwt_audience": "00001111-aaaa-2222-bbbb-3333cccc4444"},
    {
        "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
        "aud": "00001111-aaaa-2222-bbbb-3333cccc4444",
        "scp": "access_as_user",
        "ver": "2.0",
    },
)
COGNITO = (
    {"auth_jwt_client_id": "4b8s2example"},
    {
        "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "token_use": "access",
        "client_id": "4b8s2example",
        "scope": "aws.cognito.signin.user.admin openid bookcast/read",
    },
)
PROVIDERS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "auth0": AUTH0,
    "keycloak": KEYCLOAK,
    "entra": ENTRA,
    "cognito": COGNITO,
}


@pytest.fixture
def keys() -> Iterator[str]:
    """Publish the issuer's keys; yield the address."""
    text = json.dumps({"keys": [jwk(rsa_key(), "one", use="sig")]}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name for it
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://localhost:{server.server_address[1]}/keys"
    server.shutdown()
    thread.join()
    server.server_close()


@asynccontextmanager
async def production(keys: str, **settings: Any) -> AsyncIterator[Server]:
    """Run a server as on the internet, without Redis."""
    given = {"redis_url": "memory://", "drain_seconds": 0, "auth_mode": "jwt"}
    async with serve(
        port=0,
        environment="production",
        auth_jwks_url=keys,
        auth_jwt_issuer=ISSUER,
        **{**given, **settings},
    ) as server:
        yield server


def token_of(claims: dict[str, Any]) -> str:
    said = {**claims, "iss": ISSUER, "exp": int(time.time()) + 60}
    return sign(said, key=rsa_key(), algorithm="RS256", key_id="one")


async def told(server: Server, token: str) -> tuple[Any, int, str]:
    """Subscribe and ask for a book; return the answer, the status and the error text."""
    bearer = {"Authorization": f"Bearer {token}"}
    async with connect(
        server.ws_url + "me", subprotocols=["bookcast.v1"], additional_headers=bearer
    ) as client:
        await client.hear()
        answer = await client.subscribe("AAPL")
    async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http:
        book = await http.get("/books/AAPL", headers=bearer)
    return answer, book.status_code, book.text


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_providers_token_reads_where_it_is_said_whom_it_is_for(
    keys: str, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its own scopes and none of ours; keys on this machine are asked for past a proxy."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    settings, claims = PROVIDERS[provider]
    async with production(keys, **settings) as server:
        answer, status, text = await told(server, token_of(claims))
        assert answer["type"] == "subscription_confirmed"
        assert (status, "unknown_symbol" in text) == (404, True)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_without_that_it_is_forbidden_with_what_to_set(keys: str, provider: str) -> None:
    """Another application of the same issuer has tokens that look the same."""
    _, claims = PROVIDERS[provider]
    async with production(keys) as server:
        answer, status, text = await told(server, token_of(claims))
    assert (answer["type"], answer["code"], status) == ("error", "forbidden", 403)
    assert "AUTH_JWT_AUDIENCE" in answer["message"]
    assert "AUTH_JWT_AUDIENCE" in text


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_another_applications_token_is_refused(keys: str, provider: str) -> None:
    """By its audience or its client."""
    settings, claims = PROVIDERS[provider]
    other = {**claims, **({"client_id": "other"} if "client_id" in claims else {"aud": "other"})}
    bearer = {"Authorization": f"Bearer {token_of(other)}"}
    async with production(keys, **settings) as server, httpx.AsyncClient(trust_env=False) as http:
        book = await http.get(f"{server.http_url}/books/AAPL", headers=bearer)
    assert (book.status_code, book.json()["code"]) == (401, "invalid_token")
