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
"""Built from clients/typescript. In a checkout it is missing until it is built."""


class Script:
    """The script as it was when the server started, so that all responses agree."""

    def __init__(self, file: Path) -> None:
        self._text = file.read_bytes() if file.is_file() else None
        tag = hashlib.sha256(self._text or b"").hexdigest()[:32]
        self._headers = {
            "ETag": f'"{tag}"',
            # A new release of the server may have a new script.
            "Cache-Control": "no-cache",
            # Pages of other sites load it, even sites that require this header.
            "Cross-Origin-Resource-Policy": "cross-origin",
            "X-Content-Type-Options": "nosniff",
        }

    async def __call__(self, request: Request) -> Response:
        """Serve the script, unless the browser has it already."""
        if self._text is None:
            return problem.response(
                "page_not_built",
                f"This checkout has no built {PATH} yet: run 'make setup'. Everything else works",
            )
        if self._is_known(", ".join(request.headers.getlist("If-None-Match"))):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=self._headers)
        return Response(self._text, headers=self._headers, media_type="text/javascript")

    def _is_known(self, tags: str) -> bool:
        """Return whether one of the tags is the script's. A compressing proxy makes it weak."""
        known = {tag.strip().removeprefix("W/") for tag in tags.split(",")}
        return not known.isdisjoint({self._headers["ETag"], "*"})


def route() -> Route:
    """Return the route of the script."""
    return Route(PATH, Script(FILE).__call__)
