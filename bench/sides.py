"""One side of a comparison in a process of its own: nothing of another side warms it up, or counts as its CPU time."""

import subprocess
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import TypeVar

import msgspec
import uvloop
from loguru import logger

from streamforge_local.guard import guarded

Given = TypeVar("Given", bound=msgspec.Struct)


def run_side(module: str, name: str, given: msgspec.Struct) -> dict[str, float]:
    """Run a side and return what it has measured.

    Args:
        module: That calls `be_a_side`.
        name: Which of its sides.
        given: What the side needs to know.
    """
    command = [sys.executable, "-m", module, name, msgspec.json.encode(given).decode()]
    done = subprocess.run(guarded(command), stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=dict[str, float])


def be_a_side(
    sides: Mapping[str, Callable[[Given], Coroutine[None, None, Mapping[str, float]]]], kind: type[Given]
) -> None:
    """Run the side that the command line names, as `run_side` asks for it."""
    # Services say at every start how it goes.
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    _, name, given = sys.argv
    measured = uvloop.run(sides[name](msgspec.json.decode(given, type=kind)))
    print(msgspec.json.encode(measured).decode())
