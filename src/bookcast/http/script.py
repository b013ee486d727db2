"""``/client.js``: the client for script tags, which any page may load."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bookcast.http import problem

PATH: Final = "/client.js"
FILE: Final = Path(__file__).parent.parent / "script" / "client.js"
"""Built of clients/typescript. It is missing in a checkout until it has been built."""


class Script:
    """The file as it was when the server started, so that all answers agree."""

    def __init__(self, file: Path) -> None:
        self._text = file.read_bytes() if file.is_file() else None
        tag = hashlib.sha256(self._text or b"").hexdigest()[:32]
        self._headers = {
            "ETag": f'"{tag}"',
            # A new release of the server may bring a new one.
            "Cache-Control": "no-cache",
            # It is for pages of other sites; even those that let in only who says so.
            "Cross-Origin-Resource-Policy": "cross-origin",
            "X-Content-Type-Options": "nosniff",
        }

    async def __call__(self, request: Request) -> Response:
        """Serve it, unless the browser has it already."""
        if self._text is None:
            return problem.response(
                "page_not_built",
                f"This checkout has no built {PATH} yet: run 'make setup'. Everything else works",
            )
        if self._is_known(", ".join(request.headers.getlist("If-None-Match"))):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=self._headers)
        return Response(self._text, headers=self._headers, media_type="text/javascript")

    def _is_known(self, tags: str) -> bool:
        """Return whether one of these tags is ours; a proxy that compresses makes it a weak one."""
        known = {tag.strip().removeprefix("W/") for tag in tags.split(",")}
        return not known.isdisjoint({self._headers["ETag"], "*"})


def route() -> Route:
    """Return the route of the file."""
    return Route(PATH, Script(FILE).__call__)
