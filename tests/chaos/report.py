"""What came of the trials, as a table for people and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.chaos.trial import Outcome


def table(outcomes: Sequence[Outcome]) -> str:
    """Write the table: failures of trials per kind, then every trial that did not pass."""
    kinds = list(dict.fromkeys(outcome.kind for outcome in outcomes))
    lines = [f"{'kind':<30} {'failed':>10} {'aborted':>8} {'median s':>9}"]
    for kind in kinds:
        of_kind = [outcome for outcome in outcomes if outcome.kind == kind]
        counted = [outcome for outcome in of_kind if outcome.verdict != "aborted"]
        failed = sum(outcome.verdict == "failed" for outcome in counted)
        seconds = sorted(outcome.seconds for outcome in of_kind)[len(of_kind) // 2]
        told = f"{failed} of {len(counted)}"
        lines.append(f"{kind:<30} {told:>10} {len(of_kind) - len(counted):>8} {seconds:>9.0f}")
    lines += [
        f"{outcome.verdict} {outcome.kind} seed {outcome.seed}: {outcome.detail} [{outcome.home}]"
        for outcome in outcomes
        if outcome.verdict != "passed"
    ]
    return "\n".join(lines)


def write(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Write `report.txt` and `report.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.txt").write_text(table(outcomes) + "\n")
    (folder / "report.json").write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n")
