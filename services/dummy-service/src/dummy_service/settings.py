"""What the service reads from its environment."""

from pydantic import Field

from streamforge_common.settings import KafkaSettings, LogSettings, OutageSettings


class Settings(LogSettings, KafkaSettings, OutageSettings):
    """Of the API; a job reads `JobSettings` instead."""

    api_host: str = "127.0.0.1"
    """Address to listen on."""
    api_port: int = Field(default=8090, ge=0, le=65535)
    """Port to listen on; 0 takes a free one, which the log names."""
    target: str = ""
    """Set by a launcher: then the process is a job and serves no API."""
