"""`/_lite/faults`: makes the server misbehave on purpose, for trials of what its clients do then. Off unless asked for.

`PUT /_lite/faults` takes a list and replaces what was set before; `GET` shows it with `hits`, `DELETE` clears it:

- `kind`: `status` answers `status` (503) and does nothing; `delay` waits `delay_seconds` and then does its work;
  `reset` does its work and then breaks the connection without an answer; `refuse` refuses every written document whose
  key matches `key`, as a schema would (1620);
- `path` (a shell pattern without `/_db/<name>`, default `*`) and `method` say which requests it meets, except `refuse`;
- `after` lets so many pass first, `count` ends it after so many, `seconds` after so long; without them it stays.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Literal

import msgspec
from aiohttp import web

from arangolite.errors import ArangoError, Problem
from arangolite.http.call import Call, Route, answer

PATH = "/_lite/faults"


class Fault(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One way to misbehave, as the request describes it."""

    kind: Literal["status", "delay", "reset", "refuse"]
    path: str = "*"
    method: str | None = None
    key: str = "*"
    status: int = HTTPStatus.SERVICE_UNAVAILABLE.value
    delay_seconds: float = 0.0
    after: int = 0
    count: int | None = None
    seconds: float | None = None
    hits: int = 0


@dataclass
class _Armed:
    """A fault that is set, and how often it was met."""

    fault: Fault
    set_at: float
    """Monotonic seconds."""
    met: int = 0

    def strikes(self) -> bool:
        """Count one meeting and tell whether the fault shows now."""
        fault = self.fault
        if fault.seconds is not None and time.monotonic() - self.set_at > fault.seconds:
            return False
        self.met += 1
        hit = self.met - fault.after
        if hit <= 0 or (fault.count is not None and hit > fault.count):
            return False
        fault.hits = hit
        return True


class FaultSwitch:
    """The faults that are set."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []

    def set(self, faults: Sequence[Fault]) -> None:
        """Replace all faults."""
        now = time.monotonic()
        self._armed = [_Armed(fault, now) for fault in faults]

    @property
    def faults(self) -> list[Fault]:
        """What is set, with hits."""
        return [armed.fault for armed in self._armed]

    async def before(self, method: str, path: str) -> bool:
        """Misbehave before a request is worked on; returns whether its answer must be lost afterwards.

        Raises:
            ArangoError: The fault's status.
        """
        lost = False
        for armed in self._armed:
            fault = armed.fault
            if fault.kind == "refuse" or not fnmatchcase(path, fault.path) or fault.method not in (None, method):
                continue
            if not armed.strikes():
                continue
            if fault.kind == "status":
                raise ArangoError(Problem.HTTP_SERVICE_UNAVAILABLE, "a fault was asked for", status=fault.status)
            if fault.kind == "delay":
                await asyncio.sleep(fault.delay_seconds)
            lost = lost or fault.kind == "reset"
        return lost

    def check_key(self, key: str) -> None:
        """Refuse a document that a fault asks to refuse; called for every document that is written."""
        for armed in self._armed:
            if armed.fault.kind == "refuse" and fnmatchcase(key, armed.fault.key) and armed.strikes():
                raise ArangoError(Problem.VALIDATION_FAILED, "schema validation failed: a fault was asked for")


def _switch(call: Call) -> FaultSwitch:
    switch = call.server.faults
    if switch is None:
        raise ArangoError(Problem.HTTP_NOT_FOUND, f"{PATH} exists only on a server that was started with --faults")
    return switch


async def _show(call: Call) -> web.Response:
    return answer(_switch(call).faults)


async def _set(call: Call) -> web.Response:
    switch = _switch(call)
    try:
        faults = msgspec.json.decode(await call.body(), type=list[Fault])
    except msgspec.DecodeError as exc:
        raise ArangoError(Problem.HTTP_BAD_PARAMETER, f"expecting a list of faults: {exc}") from exc
    switch.set(faults)
    return answer(switch.faults)


async def _clear(call: Call) -> web.Response:
    _switch(call).set([])
    return answer([])


ROUTES = [Route("GET", PATH, _show), Route("PUT", PATH, _set), Route("DELETE", PATH, _clear)]
