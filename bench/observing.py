"""CPU time and memory of running programs and of all that they start, as the Linux kernel tells them (`/proc`)."""

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Self

_EVERY_S = 0.1
"""What a process uses between the last look and its end is lost."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_SERVERS_IN_JAVA = "kafka"


@dataclass(frozen=True, slots=True)
class _Process:
    parent: int
    cpu_s: float
    resident_bytes: int


@dataclass(slots=True)
class Usage:
    """What the processes of one program have used while they were observed."""

    cpu_s: float = 0.0
    resident: list[tuple[float, int]] = field(default_factory=list)
    """When (monotonic seconds) the largest process of this name was how large, in bytes."""

    def peak_bytes(self, until_s: float = float("inf")) -> int:
        """Return the most it had in memory up to a moment."""
        return max((size for at_s, size in self.resident if at_s <= until_s), default=0)


class Observer:
    """Looks at some processes and their descendants for the time of a block."""

    def __init__(self, *roots: int) -> None:
        self._roots = roots
        self._names: dict[int, str] = {}
        self._first_cpu_s: dict[int, float] = {}
        self._last_cpu_s: dict[int, float] = {}
        self._resident: dict[str, list[tuple[float, int]]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._look()
        # What was used before is not observed; what starts later counts from its start.
        self._first_cpu_s = dict(self._last_cpu_s)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    def usage(self) -> Mapping[str, Usage]:
        """Return what every program has used, by the name of its module."""
        usage = {name: Usage(resident=sizes) for name, sizes in self._resident.items()}
        for pid, cpu_s in self._last_cpu_s.items():
            usage[self._names[pid]].cpu_s += cpu_s - self._first_cpu_s.get(pid, 0.0)
        return usage

    def _watch(self) -> None:
        while not self._ended.wait(_EVERY_S):
            self._look()

    def _look(self) -> None:
        now_s = monotonic()
        sizes: dict[str, int] = {}
        for pid, process in _family(self._roots):
            name = self._names.get(pid)
            if name is None:
                # The wrapper that starts a program is about to become it.
                if (name := _name_of(pid)) is None:
                    continue
                self._names[pid] = name
            self._last_cpu_s[pid] = process.cpu_s
            sizes[name] = max(sizes.get(name, 0), process.resident_bytes)
        for name, size in sizes.items():
            self._resident.setdefault(name, []).append((now_s, size))


def _family(roots: Iterable[int]) -> Iterator[tuple[int, _Process]]:
    processes = {int(entry.name): read for entry in Path("/proc").iterdir() if (read := _read(entry))}
    children: dict[int, list[int]] = {}
    for pid, process in processes.items():
        children.setdefault(process.parent, []).append(pid)
    waiting = [pid for pid in roots if pid in processes]
    while waiting:
        pid = waiting.pop()
        yield pid, processes[pid]
        waiting += children.get(pid, ())


def _read(entry: Path) -> _Process | None:
    if not entry.name.isdecimal():
        return None
    try:
        # The name, in parentheses, may hold anything; fields are counted from behind it.
        fields = (entry / "stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return _Process(int(fields[1]), (int(fields[11]) + int(fields[12])) / _TICKS_PER_S, int(fields[21]) * _PAGE_BYTES)


def _name_of(pid: int) -> str | None:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return None
    if "kafka.Kafka" in arguments:
        return _SERVERS_IN_JAVA
    # `python -m module …`; the guard is `python -I -S script parent program …`.
    return arguments[2] if arguments[1:2] == ["-m"] else None
