"""Many workflows: a crowd of them at once, and ten thousand that are stored already."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

import httpx
import msgspec

from bench import stage
from bench.market import SYMBOL, TYPE
from bench.observing import Observer
from bench.results import Figure, Section
from bench.rounds import Measured, Rounds, Spread, run_rounds
from streamforge_local.client.api import QueueManager
from streamforge_local.client.following import follow
from streamforge_local.home import PlatformInfo

_FIRST_DAY = datetime(2021, 1, 1, tzinfo=UTC)
_LOOK_S = 0.5
_FLAT = 1.1
"""What counts as flat."""
_HOW_CROWD = (
    "Small workflows (an hour of minute candles each) submitted one after the other as fast as queue-manager "
    "takes them, on a new embedded platform with its default limit of jobs at once."
)
_HOW_STORED = (
    "The same questions to queue-manager over HTTP with few completed workflows in the database and with many, in"
    " turn; CPU time of queue-manager and arangolite together, so that the rest of the machine does not count."
)
_BEGUN = 0.1
"""Of a crowd: by the time that this part has completed, everything has been in use."""
_PAGE = 50
QUESTIONS: Mapping[str, str] = {
    "list the newest": f"/workflows?limit={_PAGE}",
    "list the newest completed": f"/workflows?status=completed&limit={_PAGE}",
    "list by a symbol that none has": f"/workflows?symbol=XRPUSDT&limit={_PAGE}",
    "read one": "/workflows/{queue_id}",
    "read its audit trail": "/workflows/{queue_id}/events",
}
_ASKED = 100
"""Times that each question is asked in a round; workflows are taken from all over the collection."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """What became of many workflows that were submitted at once."""

    completed: int
    wall_s: float
    queue_manager_cpu_s: float
    bytes_early: int
    """The most that queue-manager had in memory until a tenth had completed."""
    bytes_peak: int


def sections(folder: Path, quick: bool) -> list[Section]:
    """Measure both."""
    count, (few, many), rounds = (10, (100, 2_000), 1) if quick else (100, (100, 10_000), 5)
    crowd = _measure_crowd(folder / "crowd", count)
    growth = crowd.bytes_peak / crowd.bytes_early
    figures = [
        Figure("**completed / submitted**", Spread.of([crowd.completed / count]), at_least=1.0),
        Figure("**memory of queue-manager: all / a tenth completed**", Spread.of([growth]), at_most=_FLAT),
        Figure("memory of queue-manager", Spread.of([crowd.bytes_peak / 2**20]), "MiB"),
        Figure("CPU of queue-manager", Spread.of([crowd.queue_manager_cpu_s / count]), "s per workflow"),
        Figure("all of them", Spread.of([crowd.wall_s]), "s"),
    ]
    at_once = Section(f"{count} workflows at once", _HOW_CROWD, figures)
    told = _measure_stored(folder / "stored", few=few, many=many, rounds=rounds)
    figures = [
        Figure(f"**{name}: {many:,} / {few}**, CPU", told.ratio("many", "few", name), at_most=2.0) for name in QUESTIONS
    ]
    figures += [Figure(f"{name} of {many:,}", told.value("many", name), "CPU ms") for name in QUESTIONS]
    return [at_once, Section(f"{many:,} stored workflows", _HOW_STORED, figures)]


def _measure_crowd(folder: Path, count: int) -> Crowd:
    """Submit that many small workflows as fast as can be, and wait for the end of all."""
    folder.mkdir()
    with _platform(folder) as (info, platform_pid), QueueManager(info.queue_manager_url) as manager:
        began_s, early_s = monotonic(), None
        with Observer(platform_pid) as observer:
            for number in range(count):
                manager.submit(_hour_of_day(number))
            while True:
                workflows = list(manager.workflows())
                ended = sum(workflow.has_ended for workflow in workflows)
                if early_s is None and ended >= count * _BEGUN:
                    early_s = monotonic()
                if ended == count:
                    break
                sleep(_LOOK_S)
            assert early_s is not None
        usage = observer.usage()["queue_manager"]
        return Crowd(
            completed=sum(workflow.status == "completed" for workflow in workflows),
            wall_s=monotonic() - began_s,
            queue_manager_cpu_s=usage.cpu_s,
            bytes_early=usage.peak_bytes(early_s),
            bytes_peak=usage.peak_bytes(),
        )


def _measure_stored(folder: Path, *, few: int, many: int, rounds: int) -> Rounds:
    """Ask the same questions with few workflows stored and with many; figures are CPU milliseconds a question."""
    folder.mkdir()
    with _platform(folder) as (info, platform_pid), QueueManager(info.queue_manager_url) as manager:
        *_, done = follow(manager, manager.submit(_hour_of_day(0)).queue_id)
        assert done.status == "completed", done.raw
        with _Database(info) as database, httpx.Client(base_url=info.queue_manager_url, trust_env=False) as http:
            template = database.workflow(done.queue_id)

            def ask_with(count: int) -> Measured:
                keys = database.replace_workflows(template, count)
                return {name: _cpu_ms(http, path, keys, platform_pid) for name, path in QUESTIONS.items()}

            return run_rounds({"few": lambda: ask_with(few), "many": lambda: ask_with(many)}, rounds)


@contextmanager
def _platform(folder: Path) -> Iterator[tuple[PlatformInfo, int]]:
    with stage.exchange(folder) as exchange, stage.platform(folder, exchange.url) as platform:
        yield platform


def _hour_of_day(number: int) -> dict[str, str]:
    start = _FIRST_DAY + timedelta(days=number)
    end = start + timedelta(hours=1)
    return {
        "symbol": SYMBOL,
        "type": TYPE,
        "time_range": f"{start:%Y-%m-%dT%H:%M:%SZ}/{end:%Y-%m-%dT%H:%M:%SZ}",
    }


def _cpu_ms(http: httpx.Client, path: str, keys: Sequence[str], platform_pid: int) -> float:
    """Ask a question some times; return the CPU milliseconds that one of them took queue-manager and the database."""
    with Observer(platform_pid) as observer:
        for number in range(_ASKED):
            http.get(path.format(queue_id=keys[number * len(keys) // _ASKED])).raise_for_status()
    usage = observer.usage()
    return sum(usage[name].cpu_s for name in ("queue_manager", "arangolite")) / _ASKED * 1000


class _Database:
    """The platform's database, to store workflows that nobody has submitted."""

    def __init__(self, info: PlatformInfo) -> None:
        self._http = httpx.Client(
            base_url=f"{info.arango_url}/_db/{info.arango_database}/_api",
            auth=(info.arango_username, info.arango_password),
            trust_env=False,
            timeout=60.0,
        )

    def __enter__(self) -> "_Database":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def workflow(self, queue_id: str) -> dict[str, object]:
        """Return a stored workflow with all that is not shown of it."""
        answer = self._http.get(f"/document/workflows/{queue_id}").raise_for_status()
        return msgspec.json.decode(answer.content, type=dict[str, object])

    def replace_workflows(self, template: Mapping[str, object], count: int) -> list[str]:
        """Store that many copies of a workflow and nothing else; returns their ids."""
        keys, lines = [], []
        control = template["control"]
        assert isinstance(control, dict)
        for number in range(count):
            suffix = f"{number:06x}"
            queue_id = f"wf-bench-20210101-{suffix}"
            created_at = (_FIRST_DAY + timedelta(minutes=number)).isoformat()
            keys.append(queue_id)
            copy = {**template, "_key": queue_id, "queue_id": queue_id, "created_at": created_at}
            copy |= {"control": {**control, "suffix": suffix}}
            lines.append(msgspec.json.encode({name: copy[name] for name in copy if name not in ("_id", "_rev")}))
        parameters = {"type": "documents", "collection": "workflows", "overwrite": "true", "complete": "true"}
        self._http.post("/import", params=parameters, content=b"\n".join(lines)).raise_for_status()
        return keys
