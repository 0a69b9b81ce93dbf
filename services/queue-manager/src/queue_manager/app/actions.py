"""What the state machine asks the controller to do."""

from dataclasses import dataclass

from queue_manager.app.ports import JobSpec
from streamforge_common.contract.commands import Command


@dataclass(frozen=True, slots=True)
class CreateTopic:
    """Create the data topic."""

    topic: str


@dataclass(frozen=True, slots=True)
class SetRetention:
    """Let the data topic forget after a while, or keep everything."""

    topic: str
    expires: bool


@dataclass(frozen=True, slots=True)
class DeleteTopic:
    """Delete the data topic."""

    topic: str


@dataclass(frozen=True, slots=True)
class DropCollection:
    """Delete the documents of a workflow that is removed with its data."""

    name: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove the workflow itself, after everything else of it."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Write a command."""

    telemetry_id: str
    command: Command


@dataclass(frozen=True, slots=True)
class Launch:
    """Create a task's job."""

    spec: JobSpec


@dataclass(frozen=True, slots=True)
class ReadEnds:
    """Read the ends of the data topic, to which nothing is added any more."""

    topic: str


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """End a job that has outlived its workflow or the grace of a stop."""

    name: str


BrokerAction = CreateTopic | SetRetention | DeleteTopic | ReadEnds | Tell
Action = BrokerAction | Launch | DeleteJob | DropCollection | Forget
