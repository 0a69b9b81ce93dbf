"""What the caller of a request may do, asked where it matters, refused as ArangoDB refuses it."""

from dataclasses import dataclass

from arangolite.errors import ArangoError, Problem
from arangolite.storage.users import Level, User


@dataclass(frozen=True)
class Access:
    """The caller: a user, or None for a superuser token and for requests that need no credentials."""

    username: str
    user: User | None

    @property
    def is_unlimited(self) -> bool:
        """Whether no grant needs to be looked at."""
        return self.user is None

    def database_level(self, database: str) -> Level:
        """Tell what the caller may do in a database."""
        return Level.RW if self.user is None else self.user.database_level(database)

    def collection_level(self, database: str, collection: str) -> Level:
        """Tell what the caller may do with a collection."""
        return Level.RW if self.user is None else self.user.collection_level(database, collection)

    def need_admin(self) -> None:
        """Refuse with 11 whoever may not write to `_system`."""
        if self.user is not None and not self.user.is_admin:
            raise ArangoError(Problem.FORBIDDEN)

    def need_user(self, name: str) -> None:
        """Refuse with 11 whoever is neither this user nor an administrator."""
        if self.user is not None and self.user.name != name:
            self.need_admin()

    def need_database(self, database: str, level: Level) -> None:
        """Refuse with 11 whoever has less access to a database."""
        if self.database_level(database) < level:
            raise ArangoError(Problem.FORBIDDEN, f"insufficient rights for database '{database}'")

    def need_collection(self, database: str, collection: str, level: Level) -> None:
        """Refuse with 11 whoever may not read a collection, with 1004 whoever may only read it and wants to write."""
        granted = self.collection_level(database, collection)
        if granted is Level.NONE:
            raise ArangoError(Problem.FORBIDDEN, f"insufficient rights for collection '{collection}'")
        if granted < level:
            raise ArangoError(Problem.READ_ONLY, f"no write access to collection '{collection}'")


SUPERUSER = Access("", None)
