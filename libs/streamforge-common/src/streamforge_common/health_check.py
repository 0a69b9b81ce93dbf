"""`python -m streamforge_common.health_check`: what a container's health check runs, since no image has curl.

It asks the service beside it for `/health`, on the port of its API where it has one, else on that of its job.
"""

import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

from streamforge_common.settings import SettingsGroup, read_settings

_WITHIN_S = 3.0


class _Settings(SettingsGroup):
    api_port: int | None = None
    """Of a service with an API."""
    metrics_port: int = 9090
    """Of a job."""


def main() -> None:
    """Exit with 0 where the service is healthy."""
    settings = read_settings(_Settings)
    connection = HTTPConnection("127.0.0.1", settings.api_port or settings.metrics_port, timeout=_WITHIN_S)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        told = answer.read().decode(errors="replace")
    except (OSError, HTTPException) as exc:
        raise SystemExit(f"no answer: {exc!r}") from None
    sys.stdout.write(f"{told}\n")
    raise SystemExit(answer.status != HTTPStatus.OK)


if __name__ == "__main__":
    main()
