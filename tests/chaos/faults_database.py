"""A database that misbehaves as asked for over arangolite's `/_lite/faults`."""

from typing import Any

import httpx

from tests.chaos.oracle import Expectation
from tests.chaos.trial import Fault, NotFiredError, Scene

_IMPORTS = "/_api/import"


class DatabaseFault(Fault):
    """Imports that are answered late, with 503, or not at all although they were done."""

    def __init__(self, kind: str) -> None:
        """Set up; `kind` as arangolite names it: `status`, `delay`, `reset`."""
        self._kind = kind

    def arm(self, scene: Scene) -> None:
        """Plan it."""
        set_faults(scene, [self._plan(scene)])

    def _plan(self, scene: Scene) -> dict[str, Any]:
        plan: dict[str, Any] = {"kind": self._kind, "path": _IMPORTS}
        plan |= {"after": scene.rng.randint(0, 5), "count": scene.rng.randint(1, 6)}
        if self._kind == "delay":
            plan["delay_seconds"] = round(scene.rng.uniform(1.0, 10.0), 1)
        return plan

    def prove(self, scene: Scene) -> str:
        """The database counts what it hit."""
        (fault,) = faults_of(scene)
        set_faults(scene, [])
        if not fault.get("hits"):
            raise NotFiredError(f"{self._kind} did not show")
        return f"{self._kind} hit {fault['hits']} of {fault['count']} imports, after {fault.get('after', 0)}"


class RefuseDocuments(Fault):
    """The database refuses k of the n documents, as a schema would."""

    def __init__(self) -> None:
        self._keys: list[str] = []

    def arm(self, scene: Scene) -> None:
        """Choose the documents."""
        for _ in range(scene.rng.randint(1, 5)):
            order = scene.rng.choice(scene.orders)
            self._keys.append(order.key(scene.rng.randrange(order.candles)))
        self.expectation = Expectation(rejected=frozenset(self._keys))
        set_faults(scene, [{"kind": "refuse", "key": key} for key in self._keys])

    def prove(self, scene: Scene) -> str:
        """Every one was refused."""
        hits = [fault.get("hits", 0) for fault in faults_of(scene)]
        set_faults(scene, [])
        if not all(hits):
            raise NotFiredError(f"refused {hits} of {self._keys}")
        return f"refused {len(set(self._keys))} documents, {hits} times"


def set_faults(scene: Scene, faults: list[dict[str, Any]]) -> None:
    """Replace what the database does wrong."""
    url, login = scene.arena.database
    answer = httpx.put(f"{url}/_lite/faults", json=faults, auth=login, timeout=30)
    assert answer.status_code == 200, answer.text


def faults_of(scene: Scene) -> list[dict[str, Any]]:
    """Read them, with how often each has hit."""
    url, login = scene.arena.database
    faults: list[dict[str, Any]] = httpx.get(f"{url}/_lite/faults", auth=login, timeout=30).json()
    return faults
