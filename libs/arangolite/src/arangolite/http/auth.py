"""Who is calling: basic authentication and the two kinds of JSON Web Tokens that ArangoDB knows."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
import time
import warnings
from concurrent.futures import Executor
from typing import Any

import jwt
from aiohttp import web

from arangolite.errors import ArangoError, Problem
from arangolite.http.access import SUPERUSER, Access
from arangolite.http.call import Call, Route, answer
from arangolite.storage.tokens import is_token
from arangolite.storage.users import User, UserStore, matches

_ISSUER = "arangodb"
_ALGORITHM = "HS256"
_SESSION_SECONDS = 3600  # ArangoDB's default `--server.session-timeout`


class Authenticator:
    """Checks credentials against the users and the JWT secret."""

    def __init__(self, users: UserStore, root_password: str, jwt_secret: str, threads: Executor) -> None:
        self._users = users
        self._root_password = root_password
        self._secret = jwt_secret
        self._threads = threads
        # Hashing a password takes tens of milliseconds, and basic authentication sends it with every request. What
        # was checked once is remembered as a keyed digest, which is worth nothing outside of this process.
        self._digest_key = secrets.token_bytes(32)
        self._verified: dict[str, tuple[str, bytes]] = {}
        # ArangoDB takes secrets of any length; the library's advice on short ones is the operator's to follow, not to
        # hear at every request.
        warnings.filterwarnings("ignore", category=jwt.InsecureKeyLengthWarning)

    async def access_of(self, header: str | None) -> Access:
        """Tell who sends this `Authorization` header, or refuse with 401."""
        scheme, _, credentials = (header or "").partition(" ")
        match scheme.lower():
            case "basic":
                username, password = _decode_basic(credentials)
                if (user := await self.check_password(username, password)) is not None:
                    return Access(user.name, user)
            case "bearer":
                return self._access_of_token(credentials.strip())
        raise ArangoError(Problem.NOT_AUTHORIZED)

    async def check_password(self, username: str, password: str) -> User | None:
        """Find the active user with this name and password, or with an access token for one; then the name may miss."""
        if is_token(password) and (owner := self._owner_of(username, password)) is not None:
            return owner
        user = self._users.find(username)
        if user is None or not user.active:
            return None
        if user.secret is None:
            right = hmac.compare_digest(password.encode(), self._root_password.encode())
        else:
            right = await self._check_secret(username, password, user.secret)
        return user if right else None

    def _owner_of(self, username: str, token: str) -> User | None:
        """Find the user whose access token this is."""
        now = time.time()
        for user in self._users.all():
            known = user.tokens if user.active and username in ("", user.name) else ()
            if any(candidate.is_active(now) and candidate.fits(token) for candidate in known):
                return user
        return None

    async def _check_secret(self, username: str, password: str, secret: str) -> bool:
        digest = hashlib.blake2b(password.encode(), key=self._digest_key).digest()
        known = self._verified.get(username)
        if known is not None and known[0] == secret and hmac.compare_digest(known[1], digest):
            return True
        right = await asyncio.get_running_loop().run_in_executor(self._threads, matches, password, secret)
        if right:
            self._verified[username] = (secret, digest)
        return right

    def token(self, username: str) -> str:
        """Make a session token."""
        now = int(time.time())
        claims = {"iss": _ISSUER, "preferred_username": username, "iat": now, "exp": now + _SESSION_SECONDS}
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def _access_of_token(self, token: str) -> Access:
        try:
            claims: dict[str, Any] = jwt.decode(token, self._secret, algorithms=[_ALGORITHM], issuer=_ISSUER)
        except jwt.InvalidTokenError as exc:
            raise ArangoError(Problem.NOT_AUTHORIZED) from exc
        username = claims.get("preferred_username")
        if username is None and "server_id" in claims:
            return SUPERUSER  # made by whoever knows the secret
        user = self._users.find(username) if isinstance(username, str) else None
        if user is None or not user.active:
            raise ArangoError(Problem.NOT_AUTHORIZED)
        return Access(user.name, user)


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
    user = await call.server.authenticator.check_password(username, password)
    if user is None:
        raise ArangoError(Problem.UNAUTHORIZED, "Wrong credentials")
    return answer({"jwt": call.server.authenticator.token(user.name)})


OPEN_ROUTES = [Route("POST", "/_open/auth", _open_auth)]
"""Routes that need no credentials."""
