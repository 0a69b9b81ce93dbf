"""What queue-manager is told by its environment."""

import ipaddress
from pathlib import Path

from pydantic import Field, SecretStr

from streamforge_common.settings import ArangoSettings, KafkaSettings, LogSettings, OutageSettings


class Settings(LogSettings, KafkaSettings, ArangoSettings, OutageSettings):
    """All of it."""

    api_host: str = "127.0.0.1"
    """Address to listen on; on others than loopback nothing starts without an API key."""
    api_port: int = Field(default=8080, ge=1, le=65535)
    """Port of the REST API."""
    streamforge_admin_key_file: Path | None = None
    """File that holds an admin's API key: the first one, with which others are made."""
    stop_grace_seconds: float = Field(default=60, gt=0)
    """Seconds that the jobs of a stopped workflow may take to end by themselves."""
    max_running_workflows: int = Field(default=16, ge=1)
    """Workflows whose jobs run at once, per replica; the others stay `pending` until one ends. Two processes of some
    70 MB each per workflow; more wins nothing where the exchange's limit is shared."""
    data_topic_partitions: int = Field(default=1, ge=1, le=1_000)
    """Partitions of each data topic."""
    data_topic_retention_hours: float = Field(default=168, gt=0)
    """How long a data topic keeps its records after its workflow has ended, for a retry or a second look."""
    job_runner_url: str
    """Where the embedded platform's job runner listens."""
    job_runner_token: SecretStr
    """What it asks for as a bearer token."""

    @property
    def is_for_this_machine_only(self) -> bool:
        """Whether nobody else can reach the API."""
        try:
            return ipaddress.ip_address(self.api_host).is_loopback
        except ValueError:
            return self.api_host == "localhost"
