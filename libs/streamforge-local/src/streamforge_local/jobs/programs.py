"""What a target is here: the program that a job runs, and what it is told."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamforge_common.contract.targets import ACCESS_OF_TARGETS, environment_for


@dataclass(frozen=True, slots=True)
class Program:
    """One target."""

    command: Sequence[str]
    environment: Mapping[str, str]
    """Of all its jobs; the variables of the single job are added."""


def service_commands() -> dict[str, list[str]]:
    """Name the module of every target's service, for this Python."""
    return {target: [sys.executable, "-m", target.replace("-", "_")] for target in ACCESS_OF_TARGETS}


def programs_of(commands: Mapping[str, Sequence[str]], environment: Mapping[str, str]) -> dict[str, Program]:
    """Give each target of the environment what it needs, and no more."""
    return {target: Program(command, environment_for(target, environment)) for target, command in commands.items()}
