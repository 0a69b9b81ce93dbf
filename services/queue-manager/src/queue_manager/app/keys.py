"""API keys: who may do what (contract section 5), and whose request this is.

A key is 256 bits of chance, so a fast hash keeps it as well as a slow one would: nobody can try them all, and every
request has to be checked. Only the hash is kept; the key itself is shown once, to whoever makes it.

Once there is a key, every request needs one. Without any, a platform that listens on this machine's loopback alone
takes requests from everybody who is on it.
"""

import asyncio
import hmac
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from time import monotonic
from typing import Any, Protocol

from loguru import logger
from pydantic import BaseModel, ConfigDict

from queue_manager.app.workflow import rfc3339
from streamforge_common.errors import FatalError

ADMIN_FILE_ID = "admin-file"
"""The id of the key that `STREAMFORGE_ADMIN_KEY_FILE` holds."""

_PREFIX = "sf_"
"""Tells people, and programs that look for leaked secrets, what they have found."""
_KNOWN_FOR_S = 2.0
"""How late a replica learns that another one has made or revoked a key; one query in this time however many ask."""
_USE_NOTED_EVERY = timedelta(minutes=1)
"""`last_used_at` is for people who tidy up; a write with every request would cost more than the request."""
_SHORTEST_SECRET = 32
"""Characters of a key that a person brings along; 32 hexadecimal digits are 128 bits."""


class Role(StrEnum):
    """What the holder of a key may do; each role may what those before it may."""

    VIEWER = "viewer"
    """Read."""
    OPERATOR = "operator"
    """Start, steer and remove workflows."""
    ADMIN = "admin"
    """Make and revoke keys."""

    def includes(self, other: "Role") -> bool:
        """Whether this role may do what the other one may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class ApiKey(BaseModel):
    """A key as it is kept."""

    model_config = ConfigDict(frozen=True)

    id: str
    """Names it in lists, audit trails and logs."""
    name: str = ""
    """What a person calls it."""
    role: Role
    digest: str
    """SHA-256 of the key, hexadecimal."""
    created_at: str
    created_by: str | None = None
    """The id of the key that made it."""
    last_used_at: str | None = None
    """To the minute."""
    revoked_at: str | None = None

    def shown(self) -> dict[str, Any]:
        """Return what may be told of it."""
        return self.model_dump(mode="json", exclude={"digest"})


class KeyStore(Protocol):
    """Keeps keys, also revoked ones: audit trails name them."""

    async def keys(self) -> Sequence[ApiKey]:
        """List all, oldest first."""

    async def put(self, key: ApiKey) -> None:
        """Keep a key, in place of one with the same id."""

    async def note_used(self, key_id: str, at: str) -> None:
        """Remember when a key was used."""

    async def revoke(self, key_id: str, at: str) -> None:
        """Let a key be one no more."""


class UnknownKeyError(Exception):
    """No key of that id is kept."""


class KeyRefusedError(Exception):
    """That cannot be done with keys as they stand; says why."""


class Keyring:
    """The keys of one platform, as this process knows them."""

    def __init__(self, store: KeyStore, *, clock: Callable[[], datetime], always_asks: bool) -> None:
        """Know nothing yet.

        Args:
            store: Where the keys are.
            clock: The time.
            always_asks: Whether a key is needed even where there is none: others than this machine can call.
        """
        self._store = store
        self._clock = clock
        self._always_asks = always_asks
        self._valid: list[ApiKey] = []
        self._read_at_s: float | None = None
        self._reading = asyncio.Lock()

    async def prepare(self, admin_secret: str | None) -> None:
        """Take in the administrator's key, and make sure that somebody can come in.

        Args:
            admin_secret: The content of the file that `STREAMFORGE_ADMIN_KEY_FILE` names; None where it names none.

        Raises:
            FatalError: That is no key, or there is none at all where one is needed.
        """
        if admin_secret is not None:
            await self._adopt(admin_secret)
        if self._always_asks and not await self._valid_keys():
            raise FatalError(
                "API_HOST is not a loopback address and there is no API key: name a file that holds one in "
                "STREAMFORGE_ADMIN_KEY_FILE",
                code="no_api_key",
            )

    async def is_open(self) -> bool:
        """Whether requests need no key."""
        return not self._always_asks and not await self._valid_keys()

    async def identify(self, secret: str) -> ApiKey | None:
        """Find the key that this is; None where it is none, or none any more."""
        digest = _digest(secret)
        # All of them are compared, each in constant time: how long it takes tells nothing about any.
        found = [key for key in await self._valid_keys() if hmac.compare_digest(key.digest, digest)]
        if not found:
            return None
        await self._note_used(found[0])
        return found[0]

    async def keys(self) -> Sequence[ApiKey]:
        """List all keys, oldest first."""
        return await self._store.keys()

    async def create(self, role: Role, name: str, by: str | None) -> tuple[ApiKey, str]:
        """Make a key; returns it and its secret, which is kept nowhere.

        Raises:
            KeyRefusedError: It would be the first one and could make no others.
        """
        if role is not Role.ADMIN and not _valid(await self._store.keys()):
            raise KeyRefusedError("the first key must be an admin's: from then on only an admin can make others")
        secret = _PREFIX + secrets.token_urlsafe(32)
        key = ApiKey(
            id=secrets.token_hex(4),
            name=name,
            role=role,
            digest=_digest(secret),
            created_at=rfc3339(self._clock()),
            created_by=by,
        )
        await self._store.put(key)
        await self._forget()
        logger.info("{} made the key {} with the role {}", by or "somebody without a key", key.id, role)
        return key, secret

    async def revoke(self, key_id: str, by: str | None) -> None:
        """Let a key be one no more, here at once and in other replicas within seconds.

        Raises:
            UnknownKeyError: There is none of that id.
            KeyRefusedError: It is the last one of an admin.
        """
        keys = await self._store.keys()
        if key_id not in [key.id for key in keys]:
            raise UnknownKeyError(key_id)
        valid = _valid(keys)
        if key_id not in [key.id for key in valid]:
            return
        if not any(key.role is Role.ADMIN and key.id != key_id for key in valid):
            raise KeyRefusedError(f"{key_id!r} is the last key of an admin: make another one first")
        await self._store.revoke(key_id, rfc3339(self._clock()))
        await self._forget()
        logger.info("{} revoked the key {}", by or "somebody without a key", key_id)

    async def _adopt(self, secret: str) -> None:
        if len(secret) < _SHORTEST_SECRET or not (secret.isascii() and secret.isprintable()) or " " in secret:
            raise FatalError(
                f"the file that STREAMFORGE_ADMIN_KEY_FILE names must hold at least {_SHORTEST_SECRET} printable "
                "ASCII characters without spaces, such as `openssl rand -hex 32` writes",
                code="no_api_key",
            )
        digest = _digest(secret)
        if any(key.id == ADMIN_FILE_ID and hmac.compare_digest(key.digest, digest) for key in await self._valid_keys()):
            return
        at = rfc3339(self._clock())
        await self._store.put(
            ApiKey(id=ADMIN_FILE_ID, name="admin key file", role=Role.ADMIN, digest=digest, created_at=at)
        )
        await self._forget()
        logger.info("took in the administrator's key from its file")

    async def _valid_keys(self) -> list[ApiKey]:
        async with self._reading:
            if self._read_at_s is None or monotonic() - self._read_at_s > _KNOWN_FOR_S:
                self._valid = _valid(await self._store.keys())
                self._read_at_s = monotonic()
            return self._valid

    async def _note_used(self, key: ApiKey) -> None:
        now = self._clock()
        if key.last_used_at is not None and now - datetime.fromisoformat(key.last_used_at) < _USE_NOTED_EVERY:
            return
        at = rfc3339(now)
        self._valid = [each.model_copy(update={"last_used_at": at}) if each is key else each for each in self._valid]
        await self._store.note_used(key.id, at)

    async def _forget(self) -> None:
        # A reading that is on its way may have seen the keys as they were.
        async with self._reading:
            self._read_at_s = None


def _valid(keys: Sequence[ApiKey]) -> list[ApiKey]:
    return [key for key in keys if key.revoked_at is None]


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
