"""What the loader reads from its environment."""

from streamforge_common.settings import ExchangeSettings, JobSettings


class Settings(JobSettings, ExchangeSettings):
    """A job that listens to exchanges."""
