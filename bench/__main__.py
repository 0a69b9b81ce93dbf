"""`python -m bench [--quick] [--only SECTION …] [--days N]` measures and writes `RESULTS.md` and `results.json`.

`make bench` calls it. A part of the sections, or quick ones, are shown and written elsewhere: the files of the
repository hold whole runs only.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic

from bench import archive, connector, live, loader, results, stage, weight, whole_way, workflows
from bench.results import Section

_SECTIONS: Mapping[str, Callable[[Path, argparse.Namespace], list[Section]]] = {
    "loader": lambda folder, asked: loader.sections(folder, asked.quick),
    "connector": lambda folder, asked: connector.sections(folder, asked.quick),
    "whole-way": lambda folder, asked: whole_way.sections(folder, asked.quick),
    "live": lambda folder, asked: live.sections(folder, asked.quick),
    "archive": lambda folder, asked: archive.sections(folder, asked.days),
    "weight": lambda folder, asked: weight.sections(folder, asked.quick),
    "workflows": lambda folder, asked: workflows.sections(folder, asked.quick),
}
_QUICK = ("loader", "connector", "whole-way")
"""What has something to say after seconds."""


def main() -> int:
    """Run what the command line asks for; 1 where a goal is missed."""
    arguments = _parser().parse_args()
    names = arguments.only or (_QUICK if arguments.quick else tuple(_SECTIONS))
    load_before, sections = os.getloadavg()[0], []
    for name in names:
        began_s = monotonic()
        with stage.scratch() as folder:
            sections += _SECTIONS[name](folder, arguments)
        print(f"{name}: {monotonic() - began_s:.0f} s", file=sys.stderr)
    is_whole = not arguments.quick and not arguments.only
    folder = Path(__file__).parent if is_whole else Path(tempfile.mkdtemp(prefix="streamforge-bench-results-"))
    results.write(folder, sections, mode="quick" if arguments.quick else "full", load=(load_before, os.getloadavg()[0]))
    print((folder / "RESULTS.md").read_text())
    print(f"written to {folder}", file=sys.stderr)
    return int(any(figure.is_met is False for section in sections for figure in section.figures))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description="Measure StreamForge against ceilings of the same run.")
    parser.add_argument("--quick", action="store_true", help="a minute or two, for development")
    parser.add_argument("--only", nargs="+", choices=sorted(_SECTIONS), metavar="SECTION", help=", ".join(_SECTIONS))
    parser.add_argument("--days", type=int, default=31, help="of the archive; a day has a million trades (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
