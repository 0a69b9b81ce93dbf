"""What the connector reads from its environment."""

from streamforge_common.settings import ArangoSettings, JobSettings


class Settings(JobSettings, ArangoSettings):
    """A job that stores in the database."""
