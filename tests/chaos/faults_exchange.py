"""An exchange that misbehaves as asked for over `/_sim/faults`, and what a good client must not do meanwhile."""

import json
import time
from typing import Any

import httpx

from tests.chaos.arena import Order
from tests.chaos.trial import Fault, NotFiredError, Scene
from tests.embedded.processes import jobs_of, kill, wait_until

_CANDLES_PATH = "/api/v3/klines"
_FILES_PATH = "/data/*"
_BANNED = 418
_UNDER_WAY_MS = 1_000
"""What was sent before the refusal could be read arrives this much later at most."""


class ExchangeFault(Fault):
    """One kind of the simulated exchange's faults, some times, after some good pages."""

    def __init__(
        self, kind: str, *, most: int = 4, seconds: tuple[float, float] | None = None, all_can_know: bool = True
    ) -> None:
        """Set up.

        Args:
            kind: As exchange-sim names it.
            most: How often it fires at the most.
            seconds: What `Retry-After` says, how long a ban is, how slow an answer.
            all_can_know: Not while nobody can tell one loader of the ban that another one met.
        """
        self._kind = kind
        self._most = most
        self._seconds = seconds
        self._all_can_know = all_can_know
        self._since_seq = 0

    path = _CANDLES_PATH

    def arm(self, scene: Scene) -> None:
        """Plan it."""
        fault: dict[str, Any] = {"path": self.path, "kind": self._kind, "after": scene.rng.randint(0, 12)}
        fault["count"] = scene.rng.randint(1, self._most)
        if self._seconds is not None:
            fault["seconds"] = round(scene.rng.uniform(*self._seconds), 1)
        self._since_seq = max((request["seq"] for request in _requests(scene)), default=0)
        answer = httpx.put(f"{scene.arena.platform.exchange_url}/_sim/faults", json=[fault])
        assert answer.status_code == 200, answer.text

    def calm(self, scene: Scene) -> None:
        """Nothing: `prove` still wants to see the plan, and the next one replaces it."""

    def prove(self, scene: Scene) -> str:
        """The exchange counts what it fired, and every request that it met."""
        (plan,) = httpx.get(f"{scene.arena.platform.exchange_url}/_sim/faults").json()
        httpx.delete(f"{scene.arena.platform.exchange_url}/_sim/faults")
        if plan["fired"] == 0:
            raise NotFiredError(f"{self._kind} did not fire: {plan['seen']} requests were seen")
        self._check_patience(scene)
        return f"{self._kind} fired {plan['fired']} of {plan['count']} after {plan['after']}"

    def _check_patience(self, scene: Scene) -> None:
        """Whoever was told to wait must have waited, all loaders of this address together only for a ban."""
        requests = [request for request in _requests(scene) if request["seq"] > self._since_seq]
        in_ban = [each for each in requests if each["in_ban"]]
        if not self._all_can_know:
            told_at = {_symbol(each): each["at"] for each in reversed(requests) if each["status"] == _BANNED}
            in_ban = [each for each in in_ban if each["at"] > told_at[_symbol(each)] + _UNDER_WAY_MS]
        banned = [each for each in in_ban if each["ban_age_ms"] > _UNDER_WAY_MS]
        assert not banned, f"{len(banned)} requests during a ban, the first {banned[0]}"
        for refused in [each for each in requests if each["fault"] == "429"]:
            symbol = _symbol(refused)
            early = [
                each
                for each in requests
                if _symbol(each) == symbol
                and refused["at"] + _UNDER_WAY_MS < each["at"] < refused["at"] + refused["retry_after"] * 1000 - 100
            ]
            assert not early, f"{len(early)} requests before Retry-After of {refused}, the first {early[0]}"


class ArchiveFault(ExchangeFault):
    """The same on the files of the archives, and their checksums; what stays wrong must come over REST."""

    path = _FILES_PATH
    draw = Order.draw_archived


class BanAndKill(ExchangeFault):
    """A ban, and loaders that are killed in it: they must keep quiet after their restart too."""

    def __init__(self) -> None:
        super().__init__("418", most=1, seconds=(10.0, 20.0))
        self._killed: list[int] = []

    def strike(self, scene: Scene) -> None:
        """Kill every loader once it has been told of the ban and has reported it."""
        wait_until(lambda: any(each["fault"] == "418" for each in _new(scene, self._since_seq)), 60, "the ban")
        time.sleep(scene.rng.uniform(1.5, 4.0))
        for loader in jobs_of(scene.arena.home, "loader-producer"):
            if loader.is_job_of in scene.queue_ids:
                kill(loader.pid)
                self._killed.append(loader.pid)

    def prove(self, scene: Scene) -> str:
        """As without the kill, and the pids that are gone."""
        if not self._killed:
            raise NotFiredError("no loader lived in the ban")
        return f"{super().prove(scene)}; killed {self._killed}"


def _requests(scene: Scene) -> list[dict[str, Any]]:
    answer = httpx.get(f"{scene.arena.platform.exchange_url}/_sim/requests", timeout=60)
    return [json.loads(line) for line in answer.text.splitlines()]


def _new(scene: Scene, since_seq: int) -> list[dict[str, Any]]:
    return [request for request in _requests(scene) if request["seq"] > since_seq]


def _symbol(request: dict[str, Any]) -> str:
    return str(httpx.QueryParams(request["query"]).get("symbol", ""))
