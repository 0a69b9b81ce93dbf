"""Where queue-manager is and by which key it knows us: named by the person, or written down in a home folder."""

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


def key_file(home: Path) -> Path:
    """Say where a person may put the API key for the platform on a home folder."""
    return home / "api-key"


def find_key(named: str | None, url: str | None, home: Path) -> str | None:
    """Choose the API key to send: the one that was named, else that of the home folder, for its own platform only.

    Raises:
        PlatformError: The home folder's cannot be read.
    """
    if named is not None or url is not None:
        return named
    path = key_file(home)
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise PlatformError(f"{path} cannot be read: {exc}") from exc


def find_queue_manager(url: str | None, home: Path) -> str:
    """Choose the address to talk to: the one that was named, else that of the platform on the home folder.

    Raises:
        PlatformError: None was named and no platform runs there.
    """
    return url or read_platform(home).queue_manager_url
