"""The REST API (contract section 5): thin routes over the controller, the store and the launcher."""

import base64
import binascii
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Header, Query, Response, Security
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.security import HTTPBearer
from loguru import logger
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from queue_manager.adapters import event_stream
from queue_manager.adapters.docs_page import add_docs_page
from queue_manager.adapters.guard import KeyGuard, acting_key
from queue_manager.adapters.problems import BodyLimit, install_key_problems, install_problems
from queue_manager.app import wishes
from queue_manager.app.catalog import TARGETS, CatalogEntry, catalog_entries
from queue_manager.app.controller import Controller, UnknownWorkflowError
from queue_manager.app.examining import Examiner
from queue_manager.app.keys import Keyring, Role
from queue_manager.app.ports import Job, Launcher, WorkflowFilter, WorkflowStore
from queue_manager.app.quality import Evidence, QualityReport, report_quality
from queue_manager.app.repairs import find_missing
from queue_manager.app.requests import FieldError, InvalidRequestError, WorkflowRequest
from queue_manager.app.workflow import AuditItem, Deletion, Workflow, WorkflowStatus, rfc3339
from streamforge_common import telemetry
from streamforge_common.outages import Neighbour, health_of

_DESCRIPTION = "Takes workflows and brings them to their end. Errors are RFC 9457 problem details."
_SEQ_DIGITS = 15
"""No trail is that long; a longer number is none of ours."""
Limit = Annotated[int, Query(ge=1, le=1_000, description="The most items in one answer.")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the answer before.")]
IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=255, pattern="^[ -~]+$", description="The same key gets the first answer again."),
]
Accept = Annotated[str, Header(description="`text/event-stream` follows the trail in place of listing it.")]
LastEventId = Annotated[int | None, Header(ge=0, lt=10**_SEQ_DIGITS, description="Follow from behind this `seq`.")]
ActingKey = Annotated[str | None, Depends(acting_key)]
Steering = Literal["stop", "pause", "resume", "retry"]
_WISHES = {
    "stop": wishes.stop,
    "pause": wishes.pause,
    "resume": wishes.resume,
    "retry": wishes.retry,
}


class KeyRequest(BaseModel):
    """The body of `POST /keys`."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    role: Role
    """What its holder may do."""
    name: str = Field(default="", max_length=100)
    """What people call it."""


class Catalog(BaseModel):
    """What can be asked for."""

    entries: list[CatalogEntry]
    targets: list[str]


def create_api(
    controller: Controller,
    store: WorkflowStore,
    launcher: Launcher,
    evidence: Evidence,
    examiner: Examiner,
    neighbours: Sequence[Neighbour],
    keyring: Keyring,
) -> FastAPI:
    """Build the application from its parts."""
    app = FastAPI(
        title="StreamForge queue-manager",
        description=_DESCRIPTION,
        version="0.1.0",
        # Its own page loads from elsewhere; ours is added below.
        docs_url=None,
        redoc_url=None,
        # Puts keys into `/docs`; it is `KeyGuard` that asks for them.
        dependencies=[Security(HTTPBearer(auto_error=False, description="An API key, once there is one."))],
    )
    app.add_middleware(BodyLimit)
    app.add_middleware(KeyGuard, keyring=keyring)
    install_problems(app)
    install_key_problems(app)
    _add_workflow_routes(app, controller, store)
    _add_steering_routes(app, controller, store, evidence)
    _add_quality_route(app, store, evidence, examiner)
    _add_job_routes(app, store, launcher)
    _add_key_routes(app, keyring)
    _add_platform_routes(app, neighbours)
    add_docs_page(app)
    return app


def _add_workflow_routes(app: FastAPI, controller: Controller, store: WorkflowStore) -> None:
    @app.post("/workflows", status_code=201)
    async def create_workflow(
        request: WorkflowRequest, response: Response, by: ActingKey, idempotency_key: IdempotencyKey = None
    ) -> dict[str, Any]:
        """Start a workflow."""
        workflow = await controller.submit(request, idempotency_key, by=by)
        response.headers["Location"] = f"/workflows/{workflow.queue_id}"
        return workflow.shown()

    @app.get("/workflows")
    async def list_workflows(
        status: WorkflowStatus | None = None,
        symbol: str | None = None,
        type: str | None = None,
        created_after: AwareDatetime | None = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> dict[str, Any]:
        """List workflows, newest first."""
        wanted = WorkflowFilter(
            status=status,
            symbol=symbol.upper() if symbol else None,
            type=type,
            created_after=rfc3339(created_after) if created_after else None,
        )
        documents = await store.page(wanted, _read_cursor(cursor), limit + 1)
        items = list(documents[:limit])
        more = len(documents) > limit
        return {"items": items, "next_cursor": _cursor_of(items[-1]) if more else None}

    @app.get("/workflows/{queue_id}")
    async def show_workflow(queue_id: str) -> dict[str, Any]:
        """Show one workflow."""
        return (await _find(store, queue_id)).shown()

    @app.get("/workflows/{queue_id}/events", responses={200: {"content": {event_stream.MEDIA_TYPE: {}}}})
    async def list_events(
        queue_id: str,
        limit: Limit = 1_000,
        cursor: Cursor = None,
        accept: Accept = "",
        last_event_id: LastEventId = None,
    ) -> Response:
        """List the audit trail, oldest first; as `text/event-stream`, follow it until the workflow has ended."""
        after_seq = _read_seq(cursor)
        workflow = await _find(store, queue_id)
        if event_stream.MEDIA_TYPE in accept.lower():
            return event_stream.stream_trail(controller.trails, workflow, last_event_id or after_seq)
        items: Sequence[AuditItem] = await store.audit_page(workflow.queue_id, after_seq, limit + 1)
        shown = [item.model_dump(mode="json") for item in items[:limit]]
        next_cursor = str(shown[-1]["seq"]) if len(items) > limit else None
        return JSONResponse({"items": shown, "next_cursor": next_cursor}, headers={"Vary": "Accept"})

    @app.delete("/workflows/{queue_id}", status_code=204)
    async def delete_workflow(queue_id: str, by: ActingKey, data: bool = False) -> None:
        """Remove an ended workflow with its topic and, when asked, its collection."""
        await controller.delete(queue_id, Deletion.WITH_DATA if data else Deletion.WITHOUT_DATA)
        if by is not None:
            # Its audit trail is gone with it.
            logger.bind(queue_id=queue_id).info("the key {} removed the workflow", by)


def _add_steering_routes(app: FastAPI, controller: Controller, store: WorkflowStore, evidence: Evidence) -> None:
    @app.post("/workflows/{queue_id}/repair", status_code=202)
    async def repair_workflow(queue_id: str, by: ActingKey) -> dict[str, Any]:
        """Load what an ended workflow lacks; where nothing is missing nothing changes."""
        missing = await find_missing(await _find(store, queue_id), evidence)
        wish = partial(wishes.repair, missing=missing)
        return (await controller.steer(queue_id, wish, _audit("repair", by))).shown()

    @app.post("/workflows/{queue_id}/{steering}", status_code=202)
    async def steer_workflow(queue_id: str, steering: Steering, by: ActingKey) -> dict[str, Any]:
        """Stop, pause, resume or retry a workflow; what already holds changes nothing."""
        return (await controller.steer(queue_id, _WISHES[steering], _audit(steering, by))).shown()


def _audit(wish: str, by: str | None) -> dict[str, str] | None:
    return None if by is None else {"wish": wish, "by": by}


def _add_quality_route(app: FastAPI, store: WorkflowStore, evidence: Evidence, examiner: Examiner) -> None:
    @app.get("/workflows/{queue_id}/quality", response_model_by_alias=True)
    async def show_quality(queue_id: str) -> QualityReport:
        """Show the completeness report: what was expected, what is stored, every gap with its cause."""
        workflow = await _find(store, queue_id)
        return await examiner.complete(await report_quality(workflow, evidence), workflow)


def _add_job_routes(app: FastAPI, store: WorkflowStore, launcher: Launcher) -> None:
    @app.get("/workflows/{queue_id}/jobs")
    async def list_jobs(queue_id: str) -> dict[str, Any]:
        """List the jobs of a workflow."""
        workflow = await _find(store, queue_id)
        jobs = await launcher.jobs(workflow.queue_id)
        return {"items": [_shown_job(workflow, job) for job in jobs], "next_cursor": None}

    @app.get("/workflows/{queue_id}/logs")
    async def show_logs(queue_id: str, target: str | None = None) -> PlainTextResponse:
        """Show what the jobs of a workflow have written, all of them or those of one target."""
        workflow = await _find(store, queue_id)
        targets = sorted({task.target for task in workflow.tasks})
        if target is not None and target not in targets:
            raise InvalidRequestError(
                [
                    FieldError(
                        pointer="#/target", detail=f"{target!r} is no target of this workflow: {', '.join(targets)}"
                    )
                ]
            )
        jobs = await launcher.jobs(workflow.queue_id)
        logs = [await launcher.logs(job.name) for job in jobs if target in (None, job.target)]
        return PlainTextResponse(b"".join(logs))


def _add_key_routes(app: FastAPI, keyring: Keyring) -> None:
    @app.post("/keys", status_code=201)
    async def create_key(request: KeyRequest, response: Response, by: ActingKey) -> dict[str, Any]:
        """Make an API key; `key` of the answer is the key itself, told this once."""
        made, secret = await keyring.create(request.role, request.name, by)
        response.headers["Cache-Control"] = "no-store"
        return {**made.shown(), "key": secret}

    @app.get("/keys")
    async def list_keys() -> dict[str, Any]:
        """List all API keys, also revoked ones, oldest first."""
        return {"items": [key.shown() for key in await keyring.keys()], "next_cursor": None}

    @app.delete("/keys/{key_id}", status_code=204)
    async def revoke_key(key_id: str, by: ActingKey) -> None:
        """Revoke an API key."""
        await keyring.revoke(key_id, by)


def _add_platform_routes(app: FastAPI, neighbours: Sequence[Neighbour]) -> None:
    @app.get("/catalog")
    async def show_catalog() -> Catalog:
        """List every combination that can be asked for."""
        return Catalog(entries=catalog_entries(), targets=list(TARGETS))

    @app.get("/health")
    async def show_health() -> JSONResponse:
        """Say whether all is well; 503 with the reason per component where it is not."""
        healthy, body = health_of(neighbours)
        return JSONResponse(body, status_code=200 if healthy else 503)

    @app.get("/metrics")
    def show_metrics() -> Response:  # on a thread: what a process uses is read from files
        """Metrics in Prometheus' text format."""
        return Response(telemetry.metrics_page(), headers={"Content-Type": telemetry.METRICS_CONTENT_TYPE})


async def _find(store: WorkflowStore, queue_id: str) -> Workflow:
    stored = await store.get(queue_id)
    if stored is None:
        raise UnknownWorkflowError(queue_id)
    return stored.workflow


def _shown_job(workflow: Workflow, job: Job) -> dict[str, Any]:
    task = workflow.task_of(job.telemetry_id)
    is_current = task is not None and task.job_name == job.name
    return {
        "name": job.name,
        "target": job.target,
        "telemetry_id": job.telemetry_id,
        "attempt": job.attempt,
        "status": job.status,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "exit_code": job.exit_code,
        "reason": job.reason,
        "restarts": job.restarts,
        "metrics_port": task.metrics_port if task is not None and is_current and job.status.is_live else None,
    }


def _cursor_of(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(f"{document['created_at']} {document['queue_id']}".encode()).decode()


def _read_cursor(cursor: str | None) -> tuple[str, str] | None:
    if cursor is None:
        return None
    try:
        at, _, queue_id = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition(" ")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise _bad_cursor() from None
    if not queue_id:
        raise _bad_cursor()
    return at, queue_id


def _read_seq(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= _SEQ_DIGITS):
        raise _bad_cursor()
    return int(cursor)


def _bad_cursor() -> InvalidRequestError:
    return InvalidRequestError([FieldError(pointer="#/cursor", detail="not a next_cursor of this list")])
