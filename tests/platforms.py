"""What the end-to-end tests need of a platform, wherever it runs."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tests.embedded.workflows import Workflows


class Platform(Protocol):
    """A platform that is up."""

    @property
    def info(self) -> Mapping[str, Any]:
        """Where everything is, in the words of `platform.json`, as this machine reaches it."""

    @property
    def exchange_url(self) -> str:
        """Of the simulated exchange."""

    def workflows(self) -> Workflows:
        """Return the REST API, with a key where it wants one; to be closed."""

    def jobs_alive(self, queue_id: str) -> Sequence[str]:
        """Name what runs for a workflow."""

    def kill_job(self, target: str, queue_id: str) -> None:
        """Kill the one job of a target that runs for a workflow, without warning; its launcher starts it again."""
