"""Reach queue-manager from what was typed."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from streamforge_local.client.api import QueueManager
from streamforge_local.client.finding import find_key, find_queue_manager
from streamforge_local.commands.options import DEFAULT_HOME
from streamforge_local.settings import Settings


@dataclass(frozen=True, slots=True)
class Connection:
    """What `--url` and `--home` say."""

    url: str | None
    home: Path

    def open(self) -> QueueManager:
        """Get ready to call queue-manager.

        Raises:
            PlatformError: No address was named and no platform runs on the home folder.
        """
        home = self.home.expanduser()
        key = find_key(Settings.from_environment().api_key, self.url, home)
        return QueueManager(find_queue_manager(self.url, home), key)

    def command(self, *words: str) -> str:
        """Write a `streamforge` command that reaches the same platform, for a person to copy."""
        if self.url is not None:
            words = (*words, "--url", self.url)
        elif self.home != DEFAULT_HOME:
            words = (*words, "--home", str(self.home))
        return shlex.join(["streamforge", *words])
