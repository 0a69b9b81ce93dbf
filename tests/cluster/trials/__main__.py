"""The command line: run trials and write the report; exit 1 if one failed."""

import argparse
import secrets
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from kubernetes import client

from tests.chaos import report
from tests.chaos.trial import Outcome
from tests.cluster.conftest import open_administrator
from tests.cluster.installation import Neighbours, Release, installed, neighbours_in
from tests.cluster.trials.kinds import KINDS, Kind
from tests.cluster.trials.replicas import run_replicas
from tests.cluster.trials.scene import (
    LEAVES_WITHIN_S,
    NotFiredError,
    Scene,
    find_faults,
    leaving_replicas,
    wait_for,
)

_REPORTS = Path(__file__).parent / ".reports"


def main() -> None:
    """Run the command."""
    arguments = _parser().parse_args()
    administrator = open_administrator()
    with tempfile.TemporaryDirectory(prefix="streamforge-trials-") as folder, neighbours_in(Path(folder)) as neighbours:
        if arguments.what == "replicas":
            sys.exit(0 if run_replicas(administrator, neighbours, Path(folder), arguments.seed, _say) else 1)
        with installed(administrator, neighbours, Path(folder), {}) as release:
            outcomes = _run(release, neighbours, administrator, arguments)
    sys.exit(1 if any(outcome.verdict == "failed" for outcome in outcomes) else 0)


def _run(
    release: Release, neighbours: Neighbours, administrator: client.ApiClient, arguments: argparse.Namespace
) -> Sequence[Outcome]:
    kinds = arguments.only or list(KINDS)
    folder = _REPORTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{arguments.seed}"
    outcomes: list[Outcome] = []
    told: Mapping[str, str] = {}
    for name in kinds:
        kind = KINDS[name]
        if kind.values != told:
            told = kind.values
            release.bring_about(*(word for value in told.items() for word in ("--set", "=".join(value))))
            # A replica that leaves still launches jobs, as it was told before.
            wait_for(lambda: not leaving_replicas(release, administrator), LEAVES_WITHIN_S, "old replicas to be gone")
        for number in range(arguments.trials):
            scene = Scene(release, neighbours, administrator, Random(f"{name}:{arguments.seed}:{number}"))
            outcome = _run_trial(scene, name, kind, f"{arguments.seed}:{number}")
            outcomes.append(outcome)
            what = f"{outcome.verdict:<8}{name} {outcome.seed} {outcome.seconds:.0f} s"
            _say(f"{what}: {outcome.proof} {outcome.detail}")
            report.write(folder, outcomes)
    _say(f"\n{report.table(outcomes)}\n\nreport in {folder}")
    return outcomes


def _run_trial(scene: Scene, name: str, kind: Kind, seed: str) -> Outcome:
    """Run one trial; whatever happens in it is its outcome."""
    collection = f"trial_{name.replace('-', '_')}_{secrets.token_hex(3)}"
    began, verdict, proof, detail = time.monotonic(), "passed", "", ""
    try:
        scene.begin(collection)
        if kind.strike is not None:
            scene.wait_under_way()
            proof = kind.strike(scene)
        if faults := find_faults(scene, collection, kind.error):
            verdict, detail = "failed", "; ".join(faults)
    except NotFiredError as error:
        verdict, detail = "aborted", str(error)
    except Exception as error:  # a trial that breaks is one that failed, and the others go on
        where = traceback.extract_tb(error.__traceback__)[-1]
        verdict, detail = "failed", f"{error!r} at {where.filename}:{where.lineno}"
    seconds = round(time.monotonic() - began, 1)
    return Outcome(name, seed, verdict, proof, detail.replace("\n", " "), seconds, scene.queue_id)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.trials", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["trials", "replicas"], default="trials")
    parser.add_argument("--trials", type=int, default=10, help="of each kind (default %(default)s)")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="what is random comes from it")
    parser.add_argument("--only", nargs="+", choices=list(KINDS), metavar="KIND", help="in place of all kinds")
    return parser


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
