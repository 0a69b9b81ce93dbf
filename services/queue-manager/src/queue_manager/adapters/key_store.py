"""API keys in ArangoDB."""

from collections.abc import Sequence

from arango.database import StandardDatabase

from queue_manager.app.keys import ApiKey
from streamforge_common.arango.database import ensure_collection, in_thread

_KEYS = "api_keys"


class ArangoKeyStore:
    """Implements `KeyStore`."""

    def __init__(self, database: StandardDatabase) -> None:
        self._database = database

    async def prepare(self) -> None:
        """Create the collection unless it is there."""
        await ensure_collection(self._database, _KEYS)

    async def keys(self) -> Sequence[ApiKey]:
        """List all, oldest first."""
        aql = "FOR k IN @@keys SORT k.created_at, k._key RETURN k"

        def run() -> list[ApiKey]:
            return [ApiKey.model_validate(it) for it in self._database.aql.execute(aql, bind_vars={"@keys": _KEYS})]  # type: ignore[union-attr]

        return await in_thread(run, "reading the API keys")

    async def put(self, key: ApiKey) -> None:
        """Keep a key, in place of one with the same id."""
        collection = self._database.collection(_KEYS)
        document = {"_key": key.id, **key.model_dump(mode="json")}
        await in_thread(
            lambda: collection.insert(document, overwrite_mode="replace", sync=True, silent=True), "keeping an API key"
        )

    async def note_used(self, key_id: str, at: str) -> None:
        """Remember when a key was used."""
        await self._update({"_key": key_id, "last_used_at": at}, sync=False)

    async def revoke(self, key_id: str, at: str) -> None:
        """Let a key be one no more."""
        await self._update({"_key": key_id, "revoked_at": at}, sync=True)

    async def _update(self, change: dict[str, str], *, sync: bool) -> None:
        collection = self._database.collection(_KEYS)
        await in_thread(lambda: collection.update(change, sync=sync, silent=True), "changing an API key")
