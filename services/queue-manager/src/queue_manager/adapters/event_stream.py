"""An audit trail as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

One event per item: `id` is its `seq`, `event` its kind, `data` the item as JSON. A stream that ends before its workflow
has (this process ends, the database is away) is taken up again by the client after its last id, as browsers do.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import Response
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from loguru import logger

from queue_manager.app.trails import Trails
from queue_manager.app.workflow import AuditItem, Workflow
from streamforge_common.errors import TransientError

MEDIA_TYPE = "text/event-stream"
_HEARTBEAT_S = 15.0
"""Proxies cut connections that are silent for longer than a minute, some sooner; the standard advises 15 s."""
# Neither caches nor nginx may hold events back.
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def stream_trail(trails: Trails, workflow: Workflow, after_seq: int) -> Response:
    """Answer with what is on a trail after an item and what comes, until the workflow has ended."""
    if workflow.status.is_terminal and 0 < after_seq >= workflow.control.next_seq - 1:
        # The one answer after which a browser does not connect again.
        return Response(status_code=204)
    return EventSourceResponse(_events(trails, workflow, after_seq), headers=_HEADERS)


async def _events(trails: Trails, workflow: Workflow, after_seq: int) -> AsyncGenerator[bytes]:
    try:
        async with aclosing(trails.follow(workflow, after_seq, silence_s=_HEARTBEAT_S)) as pages:
            async for items in pages:
                yield b"".join(map(_event, items)) or KEEPALIVE_COMMENT
    except TransientError as exc:
        logger.bind(queue_id=workflow.queue_id).warning("a stream of events ends early: {}", exc)


def _event(item: AuditItem) -> bytes:
    return format_sse_event(id=str(item.seq), event=item.kind, data_str=item.model_dump_json())
