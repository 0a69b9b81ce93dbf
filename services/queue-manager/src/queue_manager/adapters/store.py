"""Workflows and their audit trail in ArangoDB.

Two collections, and no transaction over both: the audit items of a change are written inside the document, with the
change, by one compare-and-set; then they are copied to `workflow_events` under keys made of their sequence numbers.
Whoever reads a document whose items may not have been copied copies them, which twice is harmless.
"""

from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from time import time
from typing import Any

from arango.database import StandardDatabase

from queue_manager.adapters.findings import CHECKS, FINDINGS
from queue_manager.app.catalog import LOADERS
from queue_manager.app.ports import ChangedMeanwhileError, Stored, Submission, SuffixTakenError, WorkflowFilter
from queue_manager.app.shares import RunningLoader
from queue_manager.app.workflow import AuditItem, Workflow, WorkflowStatus
from streamforge_common.arango.database import (
    CONFLICT,
    NO_DOCUMENT,
    UNIQUE_VIOLATION,
    DocumentRefusedError,
    ensure_collection,
    in_thread,
)
from streamforge_common.errors import TransientError
from streamforge_common.ids import QueueId

_WORKFLOWS, _AUDIT, _REJECTED = "workflows", "workflow_events", "rejected_records"
_TELLING_OF_WORKFLOWS = {
    _AUDIT: "d.queue_id == @it",
    _REJECTED: "d.queue_id == @it",
    FINDINGS: "@it IN d.queue_ids[*]",
    CHECKS: "@it IN d.queue_ids[*]",
}
"""Collections that tell of a workflow, and what finds its documents there."""
_REMOVED_AT_ONCE = 1_000
_POSSIBLY_NOT_COPIED = 1_000
"""Workflows looked through at the start: what a killed predecessor had in hand is among those changed last, and it had
no more in hand than its few workers."""

_FILTERS = {
    "status": "workflow.status == @status",
    "symbol": "workflow.control.symbol == @symbol",
    "type": "workflow.control.type == @type",
    "created_after": "workflow.created_at > @created_after",
    "at": "workflow.created_at <= @at",
    "id": "(workflow.created_at < @at OR workflow.queue_id < @id)",
}
"""Each for itself: a filter that is written down only where it is wanted can use its index."""

_KEYS, _BANS = "idempotency_keys", "exchange_bans"
_KEYS_KEPT_S = 2 * 24 * 3600
"""Seconds that an idempotency key is remembered; the contract asks for a day at least."""


class ArangoWorkflowStore:
    """Implements `WorkflowStore`."""

    def __init__(self, database: StandardDatabase) -> None:
        self._database = database
        self._copied: dict[str, int] = {}
        """Active workflows to the last sequence number known to be in `workflow_events`; only saves work."""

    async def prepare(self) -> None:
        """Create the collections and indexes, and copy what a killed predecessor has not."""
        await ensure_collection(
            self._database,
            _WORKFLOWS,
            [
                {"type": "persistent", "fields": ["control.suffix"], "unique": True, "name": "by_suffix"},
                {"type": "persistent", "fields": ["created_at", "queue_id"], "name": "by_age"},
                {"type": "persistent", "fields": ["status", "created_at", "queue_id"], "name": "by_status"},
                {"type": "persistent", "fields": ["control.symbol", "created_at", "queue_id"], "name": "by_symbol"},
                {"type": "persistent", "fields": ["control.type", "created_at", "queue_id"], "name": "by_type"},
                {"type": "persistent", "fields": ["updated_at"], "name": "by_change"},
                {"type": "persistent", "fields": ["control.settled"], "name": "by_settled"},
            ],
        )
        await ensure_collection(
            self._database,
            _AUDIT,
            [{"type": "persistent", "fields": ["queue_id", "seq"], "unique": True, "name": "by_workflow"}],
        )
        await ensure_collection(
            self._database,
            _KEYS,
            [{"type": "persistent", "fields": ["claimed_at"], "name": "by_age"}],
        )
        await ensure_collection(self._database, _BANS)
        newest = "FOR w IN @@workflows SORT w.updated_at DESC LIMIT @limit RETURN w.queue_id"
        for queue_id in await self._query(newest, limit=_POSSIBLY_NOT_COPIED):
            await self.get(queue_id)

    async def insert(self, workflow: Workflow) -> None:
        """Store a new workflow."""
        document = {"_key": workflow.queue_id, **workflow.model_dump(mode="json")}
        collection = self._database.collection(_WORKFLOWS)
        try:
            await in_thread(lambda: collection.insert(document, sync=True, silent=True), "storing a workflow")
        except DocumentRefusedError as exc:
            if exc.error_num == UNIQUE_VIOLATION:
                raise SuffixTakenError(str(exc)) from exc
            raise
        await self._copy_outbox(workflow)

    async def has_suffix(self, suffix: str) -> bool:
        """Say whether a stored workflow has these six digits."""
        return bool(await self._query("FOR w IN @@workflows FILTER w.control.suffix == @it RETURN 1", it=suffix))

    async def claim_key(self, key: str, submission: Submission) -> Submission:
        """Keep a submission under an idempotency key; returns the one that was there first."""
        collection = self._database.collection(_KEYS)
        document = {
            "_key": _key_of(key),
            "body_digest": submission.body_digest,
            "workflow": submission.workflow.model_dump(mode="json"),
            "is_stored": False,
            "claimed_at": int(time()),
        }
        try:
            await in_thread(lambda: collection.insert(document, sync=True, silent=True), "taking an idempotency key")
        except DocumentRefusedError as exc:
            if exc.error_num != UNIQUE_VIOLATION:
                raise
        first = await in_thread(lambda: collection.get(_key_of(key)), "reading an idempotency key")
        if not isinstance(first, dict):
            return submission
        return Submission(first["body_digest"], Workflow.model_validate(first["workflow"]), first["is_stored"])

    async def confirm_key(self, key: str) -> None:
        """Note that the submission under a key is stored."""
        collection = self._database.collection(_KEYS)
        change = {"_key": _key_of(key), "is_stored": True}
        await in_thread(lambda: collection.update(change, sync=True, silent=True), "keeping an idempotency key")

    async def get(self, queue_id: str) -> Stored | None:
        """Read a workflow."""
        collection = self._database.collection(_WORKFLOWS)
        document = await in_thread(lambda: collection.get({"_key": queue_id}), "reading a workflow")
        if not isinstance(document, dict):
            return None
        stored = Stored(Workflow.model_validate(document), document["_rev"])
        await self._copy_outbox(stored.workflow)
        return stored

    async def read(self, queue_id: QueueId) -> Workflow | None:
        """Return a workflow as it is now, None where it is gone."""
        stored = await self.get(queue_id)
        return None if stored is None else stored.workflow

    async def replace(self, stored: Stored) -> Stored:
        """Store a changed workflow if it is still of the revision it was read at."""
        workflow = stored.workflow
        copied = self._copied.get(workflow.queue_id, 0)
        workflow.control.outbox = [item for item in workflow.control.outbox if item.seq > copied]
        document = {"_key": workflow.queue_id, "_rev": stored.revision, **workflow.model_dump(mode="json")}
        collection = self._database.collection(_WORKFLOWS)
        try:
            meta = await in_thread(
                lambda: collection.replace(document, check_rev=True, sync=True), "storing a workflow's change"
            )
        except DocumentRefusedError as exc:
            if exc.error_num in (CONFLICT, NO_DOCUMENT):
                raise ChangedMeanwhileError(str(exc)) from exc
            raise
        await self._copy_outbox(workflow)
        assert isinstance(meta, dict)
        return Stored(workflow, meta["_rev"])

    async def unsettled(self) -> list[tuple[QueueId, WorkflowStatus]]:
        """List the workflows about which something is left to do, oldest first."""
        rows = await self._query(
            "FOR w IN @@workflows FILTER w.control.settled == false SORT w.created_at, w.queue_id "
            "RETURN [w.queue_id, w.status]"
        )
        for settled in self._copied.keys() - {queue_id for queue_id, _ in rows}:
            del self._copied[settled]
        return [(QueueId(queue_id), WorkflowStatus(status)) for queue_id, status in rows]

    async def others_storing_in(self, collection: str, queue_id: QueueId) -> list[QueueId]:
        """List the other workflows that store in a collection."""
        return await self._query(
            "FOR w IN @@workflows FILTER w.queue_id != @id AND @name IN w.datasets[*].collection_name "
            "RETURN w.queue_id",
            name=collection,
            id=queue_id,
        )

    async def drop_collection(self, name: str) -> None:
        """Delete a collection with all its documents; none of that name is fine."""
        await in_thread(lambda: self._database.delete_collection(name, ignore_missing=True), f"dropping {name!r}")

    async def forget(self, queue_id: QueueId) -> None:
        """Remove a workflow with its audit trail, what was rejected and what was found; none of that name is fine."""
        for collection, condition in _TELLING_OF_WORKFLOWS.items():
            if await in_thread(lambda name=collection: self._database.has_collection(name), "listing collections"):  # type: ignore[misc]
                find = f"FOR d IN @@collection FILTER {condition} LIMIT @limit RETURN d._key"
                await self._remove(collection, find, queue_id)
        workflows = self._database.collection(_WORKFLOWS)
        await in_thread(lambda: workflows.delete(queue_id, ignore_missing=True, sync=True), "removing a workflow")
        self._copied.pop(queue_id, None)

    async def forget_old_keys(self) -> None:
        """Remove the idempotency keys that have been kept for long enough."""
        oldest = int(time()) - _KEYS_KEPT_S
        await self._remove(_KEYS, "FOR d IN @@collection FILTER d.claimed_at < @it LIMIT @limit RETURN d._key", oldest)

    async def _remove(self, collection: str, find: str, it: object) -> None:
        while keys := await self._query(find, **{"@collection": collection, "it": it, "limit": _REMOVED_AT_ONCE}):
            documents = [{"_key": key} for key in keys]
            await in_thread(
                lambda documents=documents: self._database.collection(collection).delete_many(documents, silent=True),  # type: ignore[misc]
                f"removing from {collection!r}",
            )

    async def page(self, wanted: WorkflowFilter, after: tuple[str, str] | None, limit: int) -> Sequence[dict[str, Any]]:
        """List documents as the API shows them, newest first."""
        at, queue_id = after or (None, None)
        values = {**asdict(wanted), "at": at, "id": queue_id}
        given = {name: value for name, value in values.items() if value is not None}
        filters = " ".join(f"FILTER {_FILTERS[name]}" for name in given)
        documents = await self._query(
            f"FOR workflow IN @@workflows {filters} "
            "SORT workflow.created_at DESC, workflow.queue_id DESC LIMIT @limit RETURN workflow",
            limit=limit,
            **given,
        )
        return [Workflow.model_validate(document).shown() for document in documents]

    async def audit_page(self, queue_id: QueueId, after_seq: int, limit: int) -> Sequence[AuditItem]:
        """List the audit trail, oldest first."""
        items = await self._query(
            "FOR e IN @@audit FILTER e.queue_id == @id AND e.seq > @seq SORT e.seq LIMIT @limit RETURN e",
            id=queue_id,
            seq=after_seq,
            limit=limit,
        )
        return [AuditItem.model_validate(item) for item in items]

    async def last_seqs(self, queue_ids: Sequence[QueueId]) -> dict[QueueId, int]:
        """Say how far the audit trails of workflows go; those that are not stored are left out."""
        rows = await self._query(
            "FOR w IN @@workflows FILTER w._key IN @ids RETURN [w.queue_id, w.control.next_seq - 1]", ids=queue_ids
        )
        return {QueueId(queue_id): last_seq for queue_id, last_seq in rows}

    async def note_ban(self, exchange: str, market: str, until_s: float) -> None:
        """Remember until when an exchange wants nothing from this address; events that are read again are older."""
        await self._query(
            "UPSERT { _key: @key } INSERT { _key: @key, until: @until } "
            "UPDATE { until: MAX([OLD.until, @until]) } IN @@bans OPTIONS { waitForSync: true }",
            key=f"{exchange}:{market}",
            until=until_s,
        )

    async def bans(self) -> dict[tuple[str, str], float]:
        """Return until when each exchange wants nothing, also what is over."""
        rows = await self._query("FOR ban IN @@bans RETURN [SPLIT(ban._key, ':'), ban.until]")
        return {(exchange, market): float(until_s) for (exchange, market), until_s in rows}

    async def running_loaders(self) -> Sequence[RunningLoader]:
        """List the loaders of all workflows that were started and have not ended."""
        rows = await self._query(
            "FOR w IN @@workflows FILTER w.control.settled == false FOR t IN w.tasks "
            "FILTER t.target IN @loaders AND t.started_since_ms != null AND t.finished == false "
            "FOR d IN w.datasets FILTER d.n == t.n RETURN [d.exchange, d.market, d.type]",
            loaders=sorted(LOADERS),
        )
        return [RunningLoader.of(*row) for row in rows]

    async def counts(self) -> dict[str, int]:
        """Count the workflows by status."""
        rows = await self._query("FOR w IN @@workflows COLLECT status = w.status WITH COUNT INTO n RETURN {status, n}")
        return {row["status"]: row["n"] for row in rows}

    async def _copy_outbox(self, workflow: Workflow) -> None:
        copied = self._copied.get(workflow.queue_id, 0)
        items = [
            {
                "_key": f"{workflow.queue_id}:{item.seq:010d}",
                "queue_id": workflow.queue_id,
                **item.model_dump(mode="json"),
            }
            for item in workflow.control.outbox
            if item.seq > copied
        ]
        if not items:
            return
        collection = self._database.collection(_AUDIT)
        outcomes = await in_thread(
            lambda: collection.insert_many(items, overwrite_mode="ignore", sync=True), "storing the audit trail"
        )
        assert isinstance(outcomes, list)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise TransientError(f"ArangoDB did not take an audit item of {workflow.queue_id!r}: {outcome}")
        self._copied[workflow.queue_id] = items[-1]["seq"]

    async def _query(self, aql: str, **bind: Any) -> list[Any]:  # noqa: ANN401
        collections = {"@workflows": _WORKFLOWS, "@audit": _AUDIT, "@bans": _BANS}
        used = {name: value for name, value in collections.items() if f"@{name}" in aql}

        def run() -> list[Any]:
            return list(self._database.aql.execute(aql, bind_vars={**used, **bind}, batch_size=1_000))  # type: ignore[arg-type]

        return await in_thread(run, "querying workflows")


def _key_of(key: str) -> str:
    """Any key of a person as a key of ArangoDB."""
    return sha256(key.encode()).hexdigest()
