"""How the benchmarks are written down: `RESULTS.md` for people, `results.json` for programs."""

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from bench.rounds import Spread
from streamforge_local.kafka.install import install
from streamforge_local.settings import Settings

_VERSIONS = ("aiokafka", "confluent-kafka", "cramjam", "aiohttp", "msgspec", "uvloop", "fastapi", "python-arango")


class Figure(msgspec.Struct, frozen=True):
    """One line of a table."""

    what: str
    value: Spread
    unit: str = ""
    """Empty for a ratio."""
    at_least: float | None = None
    """The goal, where there is one."""
    at_most: float | None = None

    @property
    def goal(self) -> str:
        """The goal in words."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}"

    @property
    def is_met(self) -> bool | None:
        """Whether the median reaches the goal; None where there is none."""
        if self.at_least is not None:
            return self.value.median >= self.at_least
        return None if self.at_most is None else self.value.median <= self.at_most


class Section(msgspec.Struct, frozen=True):
    """One benchmark."""

    title: str
    how: str
    """What is compared with what, in a few sentences."""
    figures: Sequence[Figure]


class Machine(msgspec.Struct, frozen=True):
    """What it ran on, as far as that matters and tells nobody where."""

    cores: int
    memory_gib: int
    processor: str
    system: str
    python: str
    java: str
    versions: dict[str, str]

    @classmethod
    def this(cls) -> "Machine":
        """Describe this one."""
        pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        return cls(
            cores=len(os.sched_getaffinity(0)),
            memory_gib=round(pages * page_bytes / 2**30),
            processor=_processor(),
            system=f"{platform.system()} {platform.machine()}",
            python=platform.python_version(),
            java=_java(),
            versions={name: version(name) for name in _VERSIONS},
        )


def write(folder: Path, sections: Sequence[Section], *, mode: str, load: tuple[float, float]) -> None:
    """Write both files; the same figures are in either."""
    machine, at = Machine.this(), datetime.now(UTC)
    found = {"at": at, "mode": mode, "load": load, "machine": machine, "sections": sections}
    json = msgspec.json.format(msgspec.json.encode(found), indent=2)
    (folder / "results.json").write_bytes(json + b"\n")
    (folder / "RESULTS.md").write_text(_as_text(sections, machine, at, mode, load))


def _as_text(sections: Sequence[Section], machine: Machine, at: datetime, mode: str, load: tuple[float, float]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    lines = [
        "# Results of `make bench`",
        "",
        f"Generated {at:%Y-%m-%d %H:%M} UTC by `python -m bench`, {mode} mode; do not edit.",
        "",
        f"{machine.cores} cores ({machine.processor}), {machine.memory_gib} GiB, {machine.system}, "
        f"Python {machine.python}, Java {machine.java}; {versions}. Everything, the broker and the database too, runs "
        f"on these cores. Load average {load[0]:.1f} before, {load[1]:.1f} after: what is above the number of cores at "
        "the start was somebody else's.",
        "",
        "Rounds are interleaved, and one round before them does not count. A ratio is taken within each round; shown "
        "are the median and, in brackets, the lowest and highest round. Absolute numbers say something about this "
        "machine at that time only.",
    ]
    for section in sections:
        lines += [
            "",
            f"## {section.title}",
            "",
            section.how,
            "",
            "| | median [low … high] | goal | |",
            "|---|---|---|---|",
        ]
        lines += [_row(figure) for figure in section.figures]
    return "\n".join(lines) + "\n"


def _row(figure: Figure) -> str:
    value = figure.value
    spread = f" [{_number(value.low)} … {_number(value.high)}]" if value.rounds > 1 else ""
    met = {True: "met", False: "**missed**", None: ""}[figure.is_met]
    return f"| {figure.what} | {_number(value.median)}{spread} {figure.unit} | {figure.goal} | {met} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown processor"


def _java() -> str:
    java = install(Settings.from_environment()).java.executable
    said = subprocess.run([java, "-version"], stderr=subprocess.PIPE, check=True, text=True).stderr
    return said.split('"')[1]
