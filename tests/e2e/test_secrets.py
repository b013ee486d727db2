import asyncio
import os
import signal
import time

import httpx
import jwt

from tests.sessions.world import SECRET
from tests.support import command, connect


async def test_no_secret_is_in_the_log_at_any_level() -> None:
    """Tokens however they come, resume tokens, API keys and the server's own secret."""
    token = jwt.encode({"sub": "alice", "exp": time.time() + 60}, SECRET, algorithm="HS256")
    broken = token[:-8] + "AAAAAAAA"
    key = "bck_" + os.urandom(12).hex()
    environ = {"AUTH_MODE": "jwt", "AUTH_JWT_SECRET": SECRET, "LOG_LEVEL": "debug"}
    with command("serve", "--port", "0", environ=environ) as running:
        base = running.http_url.replace("http", "ws") + "/ws/"
        v1 = ["bookcast.v1"]
        secrets = [SECRET, token.split(".")[2], broken.split(".")[1], key]
        async with connect(f"{base}a?token={token}&protocol=bookcast.v1") as client:
            secrets.append((await client.hear())["session"])
        bearer = {"Authorization": f"Bearer {token}"}
        async with connect(base + "b", additional_headers=bearer, subprotocols=v1) as client:
            session = (await client.hear())["session"]
            secrets.append(session)
            await client.ask({"action": "subscribe", "symbol": "AAPL"})
            client.connection.transport.close()
        async with connect(base + "c", subprotocols=["bookcast.v1", f"bearer.{token}"]) as client:
            secrets.append((await client.hear())["session"])
            answer = await client.ask({"action": "resume", "session": session, "positions": []})
            assert answer["type"] == "resumed"
            escaped = token.replace("e", "\\u0065", 1)
            await client.ask(f'{{"action":"authenticate","token":"{escaped}"}}')
            await client.ask({"action": "authenticate", "token": broken})
            await client.ask(f'{{"action":"authenticate","token":"{token}')
            await client.ask(f'{{"token" : "{token}", "action":"authentic"}}')
        async with connect(base + "d") as client:
            await client.ask({"action": "authenticate", "token": token})
        async with httpx.AsyncClient(base_url=running.http_url, trust_env=False) as http:
            for headers in (bearer, {"X-API-Key": key}, {"Authorization": f"Bearer {broken}"}):
                await http.get("/books/AAPL", headers=headers)
            await http.get(f"/ws/x?token={token}")
            await http.get(f"/nowhere?token={token}")
        await asyncio.sleep(0)
        running.end(signal.SIGINT)
        assert running.process.stderr is not None
        log = "".join(running.log) + running.process.stderr.read()
    assert "connection closed" in log
    assert "client_id=a" in log
    assert [secret for secret in secrets if secret in log] == []
