"""Who is calling: basic authentication and the two kinds of JSON Web Tokens that ArangoDB knows."""

import base64
import binascii
import hmac
import time
import warnings
from typing import Any

import jwt
from aiohttp import web

from arangolite.errors import ArangoError, Problem
from arangolite.http.call import Call, Route, answer

ROOT = "root"
_ISSUER = "arangodb"
_ALGORITHM = "HS256"
_SESSION_SECONDS = 3600  # ArangoDB's default `--server.session-timeout`


class Authenticator:
    """Checks credentials against the root password and the JWT secret."""

    def __init__(self, root_password: str, jwt_secret: str) -> None:
        self._root_password = root_password.encode()
        self._secret = jwt_secret
        # ArangoDB takes secrets of any length; the library's advice on short ones is the operator's to follow, not to
        # hear at every request.
        warnings.filterwarnings("ignore", category=jwt.InsecureKeyLengthWarning)

    def user_of(self, header: str | None) -> str:
        """Tell who sends this `Authorization` header, or refuse with 401."""
        scheme, _, credentials = (header or "").partition(" ")
        match scheme.lower():
            case "basic":
                username, password = _decode_basic(credentials)
                if self.check_password(username, password):
                    return username
            case "bearer":
                return self._user_of_token(credentials.strip())
        raise ArangoError(Problem.NOT_AUTHORIZED)

    def check_password(self, username: str, password: str) -> bool:
        """Tell whether the password is the user's."""
        return username == ROOT and hmac.compare_digest(password.encode(), self._root_password)

    def token(self, username: str) -> str:
        """Make a session token."""
        now = int(time.time())
        claims = {"iss": _ISSUER, "preferred_username": username, "iat": now, "exp": now + _SESSION_SECONDS}
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def _user_of_token(self, token: str) -> str:
        try:
            claims: dict[str, Any] = jwt.decode(token, self._secret, algorithms=[_ALGORITHM], issuer=_ISSUER)
        except jwt.InvalidTokenError as exc:
            raise ArangoError(Problem.NOT_AUTHORIZED) from exc
        username = claims.get("preferred_username")
        if username is None and "server_id" in claims:
            return ROOT  # a superuser token, made by whoever knows the secret
        if username != ROOT:
            raise ArangoError(Problem.NOT_AUTHORIZED)
        return ROOT


def _decode_basic(credentials: str) -> tuple[str, str]:
    try:
        username, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as exc:
        raise ArangoError(Problem.NOT_AUTHORIZED) from exc
    return username, password


async def _open_auth(call: Call) -> web.Response:
    request = await call.json_object()
    username, password = request.get("username"), request.get("password")
    if not isinstance(username, str) or not isinstance(password, str):
        raise ArangoError(Problem.HTTP_BAD_PARAMETER, "expecting 'username' and 'password' as strings")
    if not call.server.authenticator.check_password(username, password):
        raise ArangoError(Problem.UNAUTHORIZED, "Wrong credentials")
    return answer({"jwt": call.server.authenticator.token(username)})


OPEN_ROUTES = [Route("POST", "/_open/auth", _open_auth)]
"""Routes that need no credentials."""
