"""The command line: run trials and write the report; exit 1 if one failed."""

import argparse
import secrets
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.chaos import report
from tests.chaos.kinds import KINDS
from tests.chaos.lanes import run_lanes
from tests.chaos.live import run_live
from tests.chaos.memory import run_memory
from tests.chaos.mutations import MUTATIONS, run_mutations
from tests.chaos.trial import Outcome

_REPORTS = Path(__file__).parent / ".reports"


def main() -> None:
    """Run the command."""
    arguments = _parser().parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if arguments.what == "mutations":
        sys.exit(0 if run_mutations(arguments.only or list(MUTATIONS), arguments.folder, _say) else 1)
    if arguments.what == "live":
        sys.exit(0 if run_live(arguments.folder, arguments.disconnects, arguments.trials, _say) else 1)
    if arguments.what == "memory":
        sys.exit(0 if run_memory(arguments.folder, arguments.seconds, _say) else 1)
    sys.exit(_run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    kinds = arguments.only or list(KINDS)
    unknown = sorted(set(kinds) - KINDS.keys())
    if unknown:
        sys.exit(f"unknown kinds {', '.join(unknown)}; known are {', '.join(KINDS)}")
    # Round by round, so that a run that is cut short has seen every kind equally often.
    trials = [(kind, number) for number in range(arguments.trials) for kind in kinds]
    _say(f"{len(trials)} trials of {len(kinds)} kinds, seed {arguments.seed}, homes in {arguments.folder}")
    done: list[Outcome] = []
    folder = _REPORTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{arguments.seed}"

    def note(outcome: Outcome) -> None:
        done.append(outcome)
        what = f"{outcome.verdict:<8}{outcome.kind} {outcome.seed} {outcome.seconds:.0f} s"
        _say(f"{what}: {outcome.proof} {outcome.detail}")
        report.write(folder, done)

    outcomes = run_lanes(trials, arguments.seed, arguments.lanes, arguments.folder, {}, note)
    report.write(folder, outcomes)
    _say(f"\n{report.table(outcomes)}\n\nreport in {folder}")
    return 1 if any(outcome.verdict == "failed" for outcome in outcomes) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["trials", "mutations", "memory", "live"], default="trials")
    parser.add_argument("--trials", type=int, default=20, help="of each kind (default %(default)s)")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="everything random comes from it")
    parser.add_argument("--lanes", type=int, default=2, help="platforms side by side (default %(default)s)")
    parser.add_argument("--only", nargs="+", metavar="KIND", help="kinds of trials, or mutations, in place of all")
    parser.add_argument("--seconds", type=float, default=600, help="of `memory`: the pause (default %(default)s)")
    parser.add_argument("--disconnects", type=int, default=100, help="of `live`: of every stream (default %(default)s)")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "streamforge-chaos")
    return parser


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
