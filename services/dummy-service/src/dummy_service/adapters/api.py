"""The HTTP API: `/ping`, `/health`, `/metrics`."""

from collections.abc import Awaitable, Callable, Sequence

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from streamforge_common import telemetry
from streamforge_common.errors import TransientError
from streamforge_common.outages import Neighbour, health_of


class Pong(BaseModel):
    """The answer to a ping."""

    kafka_round_trip_ms: float
    """Milliseconds from writing a message to reading it back."""


def create_api(ping: Callable[[], Awaitable[float]], neighbours: Sequence[Neighbour]) -> FastAPI:
    """Build the API; `ping` returns milliseconds."""
    api = FastAPI(title="dummy-service")

    @api.get("/ping")
    async def _ping() -> Pong:
        """Send a message through Kafka and back."""
        return Pong(kafka_round_trip_ms=round(await ping(), 3))

    @api.get("/health")
    async def _health() -> JSONResponse:
        """Answer 200, or 503 with the reason."""
        healthy, body = health_of(neighbours)
        return JSONResponse(body, status_code=200 if healthy else 503)

    @api.get("/metrics")
    async def _metrics() -> Response:
        """Answer Prometheus' text format."""
        return Response(telemetry.metrics_page(), media_type=telemetry.METRICS_CONTENT_TYPE)

    @api.exception_handler(TransientError)
    async def _away(_: Request, exc: TransientError) -> JSONResponse:
        body = {"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": str(exc)}
        return JSONResponse(body, status_code=503, media_type="application/problem+json")

    return api
