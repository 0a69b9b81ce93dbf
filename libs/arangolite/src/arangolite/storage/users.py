"""Users: their passwords as salted hashes, and what they may do with which database and collection.

They live in a table of `_system`'s file, not in a collection, so no query can read a hash. All of them are in memory;
a change reaches the disk before it is seen.
"""

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, Self

import msgspec

from arangolite.errors import ArangoError, Problem
from arangolite.storage.database import Database, Transaction
from arangolite.storage.names import SYSTEM_DATABASE
from arangolite.storage.tokens import Token

ROOT = "root"
ANY = "*"
"""Stands for every database, or every collection of a database, that has no grant of its own."""

_NAME = re.compile(r"[^\x00-\x1f\x7f/:]{1,128}")
_SCRYPT: Mapping[str, int] = {"n": 1 << 14, "r": 8, "p": 1}  # 16 MiB and some 50 ms for each guess
_USERS_DATABASE_COLLECTION = "_users"


class Level(IntEnum):
    """How much a user may do: nothing, read, or read and write."""

    NONE = 0
    RO = 1
    RW = 2

    @property
    def word(self) -> str:
        """ArangoDB's name of it."""
        return self.name.lower()


_LEVELS = {level.word: level for level in Level}


def parse_level(word: object) -> Level:
    """Read `rw`, `ro` or `none`, or refuse it with 10."""
    level = _LEVELS.get(word) if isinstance(word, str) else None
    if level is None:
        raise ArangoError(Problem.BAD_PARAMETER, 'expecting \'grant\' to be "rw", "ro" or "none"')
    return level


@dataclass(frozen=True)
class Grants:
    """What a user may do in one database; None where the database has no grant of its own."""

    level: Level | None = None
    collections: Mapping[str, Level] = field(default_factory=dict)


@dataclass(frozen=True)
class User:
    """A user, as of now."""

    name: str
    secret: str | None
    """The hash of the password; None only for `root` as long as the password is the one the server was started with."""
    active: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)
    grants: Mapping[str, Grants] = field(default_factory=dict)
    tokens: tuple[Token, ...] = ()

    @property
    def is_admin(self) -> bool:
        """Whether the user may manage users, databases and the server."""
        return self.database_level(SYSTEM_DATABASE) is Level.RW

    def database_level(self, database: str) -> Level:
        """Tell what the user may do in a database."""
        for name in (database, ANY):
            if (level := self.configured_database_level(name)) is not None:
                return level
        return Level.NONE

    def configured_database_level(self, database: str) -> Level | None:
        """Tell what was granted for exactly this database, or None."""
        grants = self.grants.get(database)
        return None if grants is None else grants.level

    def collection_level(self, database: str, collection: str) -> Level:
        """Tell what the user may do with a collection: by the nearest grant, else as with the database."""
        if collection.startswith("_"):
            hidden = database == SYSTEM_DATABASE and collection == _USERS_DATABASE_COLLECTION
            return Level.NONE if hidden else self.database_level(database)
        for scope in (database, ANY):
            for name in (collection, ANY):
                if (level := self.configured_collection_level(scope, name)) is not None:
                    return level
        return self.database_level(database)

    def reads_all_of(self, database: str) -> bool:
        """Tell whether no collection of a database is hidden from the user."""
        grants = [self.grants[scope] for scope in (database, ANY) if scope in self.grants]
        hidden = any(Level.NONE in granted.collections.values() for granted in grants)
        return self.database_level(database) > Level.NONE and not hidden

    def configured_collection_level(self, database: str, collection: str) -> Level | None:
        """Tell what was granted for exactly this collection, or None."""
        grants = self.grants.get(database)
        return None if grants is None else grants.collections.get(collection)

    def with_database(self, database: str, level: Level) -> Self:
        """Grant access to a database; what was granted for its collections stays."""
        if self.name == ROOT and database == SYSTEM_DATABASE and level is not Level.RW:
            raise ArangoError(Problem.FORBIDDEN, "Cannot lower access level of 'root' to _system")
        grants = replace(self.grants.get(database, Grants()), level=level)
        return replace(self, grants={**self.grants, database: grants})

    def without_database(self, database: str) -> Self:
        """Take back everything that was granted for a database."""
        if self.name == ROOT and database == SYSTEM_DATABASE:
            raise ArangoError(Problem.FORBIDDEN, "Cannot remove access level of 'root' to _system")
        return replace(self, grants={name: grants for name, grants in self.grants.items() if name != database})

    def with_collection(self, database: str, collection: str, level: Level | None) -> Self:
        """Grant access to a collection, or with None take the grant back."""
        if collection.startswith("_"):
            raise ArangoError(Problem.BAD_PARAMETER, "Cannot set rights for system collections")
        if self.name == ROOT and database == SYSTEM_DATABASE and collection == ANY and level is not Level.RW:
            raise ArangoError(Problem.FORBIDDEN, "Cannot lower access level of 'root' to a collection in _system")
        before = self.grants.get(database)
        if before is None and level is None:
            return self
        before = before or Grants()
        collections = {name: granted for name, granted in before.collections.items() if name != collection}
        if level is not None:
            collections[collection] = level
        return replace(self, grants={**self.grants, database: replace(before, collections=collections)})

    def to_json(self) -> bytes:
        """Give what is stored."""
        grants = {
            database: {
                "level": None if granted.level is None else granted.level.word,
                "collections": {name: level.word for name, level in granted.collections.items()},
            }
            for database, granted in self.grants.items()
        }
        return msgspec.json.encode(
            {
                "secret": self.secret,
                "active": self.active,
                "extra": self.extra,
                "grants": grants,
                "tokens": self.tokens,
            }
        )

    @classmethod
    def from_json(cls, name: str, text: bytes) -> Self:
        """Read what is stored."""
        raw = msgspec.json.decode(text)
        grants = {
            database: Grants(
                None if granted["level"] is None else _LEVELS[granted["level"]],
                {collection: _LEVELS[word] for collection, word in granted["collections"].items()},
            )
            for database, granted in raw["grants"].items()
        }
        return cls(
            name, raw["secret"], raw["active"], raw["extra"], grants, msgspec.convert(raw["tokens"], tuple[Token, ...])
        )


def hash_password(password: str) -> str:
    """Hash a password with a fresh salt; takes tens of milliseconds on purpose, so never on the event loop."""
    salt = secrets.token_bytes(16)
    return f"scrypt${_encode(salt)}${_encode(_scrypt(password, salt))}"


def matches(password: str, secret: str) -> bool:
    """Tell whether a password is the one that was hashed; as slow as hashing it."""
    _, salt, digest = secret.split("$")
    return hmac.compare_digest(_scrypt(password, base64.b64decode(salt)), base64.b64decode(digest))


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT)


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


class UserStore:
    """All users of a server. Used on the event loop only."""

    def __init__(self, system: Database, *, root_password_given: bool) -> None:
        """Load the users.

        Args:
            system: The database whose file keeps them.
            root_password_given: Whether the server was started with a password of `root`: it then holds until it is
                changed, whatever it was before.
        """
        self._system = system
        self._users: dict[str, User] = {}
        self._changing = asyncio.Lock()
        with system.reader() as connection:
            for name, record in connection.execute("SELECT name, record FROM users ORDER BY name"):
                self._users[name.decode()] = User.from_json(name.decode(), record)
        root = self._users.get(ROOT)
        if root is None:
            everything = Grants(Level.RW, {ANY: Level.RW})
            self._users[ROOT] = User(ROOT, None, grants={SYSTEM_DATABASE: everything, ANY: everything})
        elif root_password_given:
            self._users[ROOT] = replace(root, secret=None)

    def find(self, name: str) -> User | None:
        """Find a user."""
        return self._users.get(name)

    def get(self, name: str) -> User:
        """Find a user, or refuse with 1703."""
        user = self._users.get(name)
        if user is None:
            raise ArangoError(Problem.USER_NOT_FOUND)
        return user

    def all(self) -> list[User]:
        """List the users."""
        return list(self._users.values())

    async def create(self, user: User) -> None:
        """Add a user, or refuse with 1700 or 1702."""
        if not _NAME.fullmatch(user.name):
            raise ArangoError(Problem.USER_INVALID_NAME)
        async with self._changing:
            if user.name in self._users:
                raise ArangoError(Problem.USER_DUPLICATE)
            await self._store([user])

    async def change(self, name: str, change: Callable[[User], User]) -> User:
        """Change a user."""
        async with self._changing:
            user = change(self.get(name))
            await self._store([user])
        return user

    async def change_all(self, change: Callable[[User], User]) -> None:
        """Change every user; only those that differ afterwards are written."""
        async with self._changing:
            changed = [(user, change(user)) for user in self._users.values()]
            await self._store([after for before, after in changed if after != before])

    async def remove(self, name: str) -> None:
        """Remove a user."""
        self.get(name)
        if name == ROOT:
            raise ArangoError(Problem.FORBIDDEN, "the user 'root' cannot be removed")

        def work(transaction: Transaction) -> None:
            transaction.connection.execute("DELETE FROM users WHERE name = ?", (name,))

        async with self._changing:
            await self._system.write(work, sync=True)
            self._users.pop(name, None)

    async def _store(self, users: list[User]) -> None:
        if not users:
            return
        rows = [(user.name, user.to_json().decode()) for user in users]

        def work(transaction: Transaction) -> None:
            transaction.connection.executemany("INSERT OR REPLACE INTO users VALUES (?, ?)", rows)

        await self._system.write(work, sync=True)
        self._users.update((user.name, user) for user in users)
