"""An embedded database server that speaks the HTTP API of ArangoDB."""

from arangolite.errors import StartupError
from arangolite.server import RunningServer, Settings, start

__all__ = ["start", "RunningServer", "Settings", "StartupError"]
