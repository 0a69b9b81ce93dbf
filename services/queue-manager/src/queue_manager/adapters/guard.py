"""Who may call what: the API key of every request, looked at before anything else is.

What is not listed as open here needs a key, also a path that does not exist: a route that is added later is closed
until somebody decides otherwise.
"""

from http import HTTPStatus

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from queue_manager.adapters import docs_page
from queue_manager.adapters.problems import problem
from queue_manager.app.keys import ApiKey, Keyring, Role
from streamforge_common.errors import TransientError

_OPEN = frozenset({"/health", "/metrics", docs_page.PATH, "/openapi.json"})
"""What probes, Prometheus and a person who wants to read up ask for; `/docs` shows what `/openapi.json` says."""
_OPEN_BELOW = f"{docs_page.PATH}/"
"""What that page is made of."""
_READING = frozenset({"GET", "HEAD"})
_REALM = 'Bearer realm="streamforge"'


class KeyGuard:
    """ASGI middleware that answers 401 without a valid key, and 403 where its role does not allow the call."""

    def __init__(self, app: ASGIApp, keyring: Keyring) -> None:
        self._app = app
        self._keyring = keyring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "http" and not _is_open(scope["path"]):
            try:
                refusal = await self._refusal(scope)
            except TransientError as exc:
                refusal = problem(HTTPStatus.SERVICE_UNAVAILABLE, f"try again: {exc}")
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _refusal(self, scope: Scope) -> JSONResponse | None:
        """Say why not; None lets the request through, with the key in its state."""
        if await self._keyring.is_open():
            return None
        scheme, _, secret = Headers(scope=scope).get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            return _challenge(HTTPStatus.UNAUTHORIZED, "this needs an API key: `Authorization: Bearer <key>`", _REALM)
        key = await self._keyring.identify(secret.strip())
        if key is None:
            return _challenge(
                HTTPStatus.UNAUTHORIZED, "this API key is none, or none any more", f'{_REALM}, error="invalid_token"'
            )
        needed = _needed_role(scope["method"], scope["path"])
        if not key.role.includes(needed):
            return _challenge(
                HTTPStatus.FORBIDDEN,
                f"the key {key.id!r} has the role {key.role}, and this needs the role {needed}",
                f'{_REALM}, error="insufficient_scope", scope="{needed}"',
            )
        scope.setdefault("state", {})["key"] = key
        return None


def acting_key(request: Request) -> str | None:
    """Return the id of the key that a request came with; None where none is needed."""
    key: ApiKey | None = getattr(request.state, "key", None)
    return None if key is None else key.id


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_OPEN_BELOW)


def _needed_role(method: str, path: str) -> Role:
    if path == "/keys" or path.startswith("/keys/"):
        return Role.ADMIN
    return Role.VIEWER if method in _READING else Role.OPERATOR


def _challenge(status: HTTPStatus, detail: str, authenticate: str) -> JSONResponse:
    answer = problem(status, detail)
    answer.headers["WWW-Authenticate"] = authenticate
    return answer
