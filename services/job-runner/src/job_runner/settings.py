"""What the job runner is told by its environment, and what of it jobs inherit."""

import os
from pathlib import Path

from pydantic import Field, SecretStr

from streamforge_common.settings import ArangoSettings, KafkaSettings, LogSettings, SettingsGroup


class _OwnSettings(SettingsGroup):
    api_host: str = "127.0.0.1"
    """Address to listen on."""
    api_port: int = Field(default=8091, ge=1, le=65535)
    """Port to listen on."""
    job_runner_token: SecretStr = Field(min_length=32)
    """What queue-manager has to send as a bearer token; whoever has it can start jobs."""
    job_runner_folder: Path = Path("/var/lib/streamforge")
    """Where jobs and their logs are kept, so that what was not finished goes on after a restart."""


class Settings(_OwnSettings, LogSettings, KafkaSettings, ArangoSettings):
    """All of it; broker and database are asked whether they are there, and told to the jobs that need them."""


def inherited_by_jobs() -> dict[str, str]:
    """Return the environment without what is the runner's own."""
    own = {name.upper() for name in _OwnSettings.model_fields}
    return {name: value for name, value in os.environ.items() if name not in own}  # noqa: TID251  # the one place
