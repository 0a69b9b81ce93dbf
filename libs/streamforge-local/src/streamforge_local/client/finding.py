"""Where queue-manager is: named by the person, or written down by the platform that runs on a home folder."""

from pathlib import Path

import msgspec

from streamforge_local.errors import PlatformError
from streamforge_local.home import PlatformInfo


def platform_file(home: Path) -> Path:
    """Say where a platform on this home folder writes itself down, once it is healthy."""
    return home / "platform.json"


def read_platform(home: Path) -> PlatformInfo:
    """Read what the platform on a home folder wrote down.

    Raises:
        PlatformError: None has, or this is not what `up` writes.
    """
    path = platform_file(home)
    try:
        return msgspec.json.decode(path.read_bytes(), type=PlatformInfo)
    except FileNotFoundError as exc:
        raise PlatformError(
            f"no platform runs on {home}: start one with `streamforge up`, or name another by --home or --url"
        ) from exc
    except (OSError, msgspec.DecodeError) as exc:
        raise PlatformError(f"{path} cannot be read: {exc}") from exc


def find_queue_manager(url: str | None, home: Path) -> str:
    """Choose the address to talk to: the one that was named, else that of the platform on the home folder.

    Raises:
        PlatformError: None was named and no platform runs there.
    """
    return url or read_platform(home).queue_manager_url
