"""Can the trials fail at all? Take a safeguard away, in a copy of the tree, and see trials go red.

A mutation that no trial notices is told, and makes the command fail: then those trials prove nothing about that
safeguard."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.lanes import run_lanes
from tests.chaos.trial import Outcome
from tests.embedded.platform import ROOT

_SEED = "mutation"
_PATIENCE_S = 90.0
"""Without a safeguard a workflow may wait for ever."""
_CONNECTOR = "services/arango-connector/src/arango_connector"
_COMMON = "libs/streamforge-common/src/streamforge_common"
_QUEUE_MANAGER = "services/queue-manager/src/queue_manager"


@dataclass(frozen=True)
class Edit:
    """One place in the source that is written otherwise."""

    path: str
    old: str
    new: str

    def apply(self, tree: Path) -> None:
        """Change the copy; a source that has moved on needs this table to follow."""
        file = tree / self.path
        text = file.read_text()
        if text.count(self.old) != 1:
            raise SystemExit(
                f"{self.path} has {self.old!r} {text.count(self.old)} times, expected once: mend the table"
            )
        file.write_text(text.replace(self.old, self.new))


@dataclass(frozen=True)
class Mutation:
    """A safeguard taken away, and what should notice."""

    edits: Sequence[Edit]
    kinds: Sequence[str] = ()
    """Trials that should go red."""
    trials: int = 2
    """Of each kind, at the most."""
    tests: Sequence[str] = ()
    """Tests that should go red, for what shows only inside of a service."""


MUTATIONS = {
    "commit-before-stored": Mutation(
        [
            Edit(
                f"{_CONNECTOR}/app/storing.py",
                "            sorting.add(messages)",
                "            await self._reader.ack(messages, '')\n            sorting.add(messages)",
            )
        ],
        ["kill-connector-before-stored"],
    ),
    "ignore-send-errors": Mutation(
        [
            Edit(
                f"{_COMMON}/kafka/records.py",
                "await asyncio.gather(*pending)",
                "await asyncio.gather(*pending, return_exceptions=True)",
            )
        ],
        ["broker-refuses-pages"],
    ),
    "bare-commit": Mutation(
        [Edit(f"{_COMMON}/kafka/records.py", "self._consumer.commit(behind)", "self._consumer.commit()")],
        ["kill-connector-before-stored", "twin-connector"],
        tests=["libs/streamforge-common/tests", "services/arango-connector/tests"],
    ),
    "no-folding-of-commands": Mutation(
        [
            Edit(
                f"{_COMMON}/job.py",
                "        if (command := _command_of(settings, message)) is not None:\n            wanted = wanted.fold",
                "        if (command := _command_of(settings, message)) is not None and wanted.start is None:\n"
                "            wanted = wanted.fold",
            )
        ],
        ["kill-connector-before-stored"],
    ),
    "note-events-twice": Mutation(
        [
            Edit(
                f"{_QUEUE_MANAGER}/app/lifecycle.py",
                "if offset < workflow.control.events_read.get(str(partition), 0):",
                "if offset < 0:",
            )
        ],
        ["queue-manager-reads-again"],
    ),
    "keep-duplicates-in-a-batch": Mutation(
        [
            Edit(
                f"{_CONNECTOR}/app/batches.py",
                "            if not (dataset.first_wins and key in by_key):\n                by_key[key] = message",
                "            by_key[f'{key} {message.offset}'] = message",
            )
        ],
        tests=["services/arango-connector/tests"],
    ),
}


def run_mutations(names: Sequence[str], folder: Path, say: Callable[[str], None]) -> bool:
    """Try mutations and say whether every one was noticed."""
    noticed = {name: _try(name, MUTATIONS[name], folder, say) for name in names}
    for name, how in noticed.items():
        say(f"{name:<30} {how or 'NOT NOTICED'}")
    return all(noticed.values())


def _try(name: str, mutation: Mutation, folder: Path, say: Callable[[str], None]) -> str | None:
    """Return what noticed a mutation, None where nothing did."""
    tree = _copy(folder / name, mutation.edits)
    if red := _first_failed(_trials(mutation, tree, folder, say)):
        return f"red: {red.kind} seed {red.seed}: {red.detail[:200]}"
    return _tests_failed(mutation, tree)


def _copy(tree: Path, edits: Sequence[Edit]) -> Path:
    shutil.rmtree(tree, ignore_errors=True)
    for part in ("libs", "services"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / file, tree)
    for edit in edits:
        edit.apply(tree)
    return tree


def _python_path(tree: Path) -> str:
    return os.pathsep.join(str(source) for source in sorted(tree.glob("*/*/src")))


def _trials(mutation: Mutation, tree: Path, folder: Path, say: Callable[[str], None]) -> list[Outcome]:
    trials = [(kind, number) for number in range(mutation.trials) for kind in mutation.kinds]
    if not trials:
        return []

    def note(outcome: Outcome) -> None:
        say(f"  {tree.name}: {outcome.verdict} {outcome.kind} {outcome.seed}: {outcome.proof} {outcome.detail[:300]}")

    return run_lanes(trials, _SEED, 2, folder, {"PYTHONPATH": _python_path(tree)}, note, patience_s=_PATIENCE_S)


def _first_failed(outcomes: Sequence[Outcome]) -> Outcome | None:
    return next((outcome for outcome in outcomes if outcome.verdict == "failed"), None)


def _tests_failed(mutation: Mutation, tree: Path) -> str | None:
    if not mutation.tests:
        return None
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", *mutation.tests],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": _python_path(tree)},  # noqa: TID251  # of a child
        capture_output=True,
        text=True,
        check=False,
    )
    failed = next((line for line in run.stdout.splitlines() if line.startswith("FAILED")), None)
    return f"red: {failed}" if failed else None
