"""`python -m streamforge_local.exchange_probe URL` exits 0 if the URL answers 200 with JSON, else says why not."""

import sys

import httpx


def main() -> None:
    """Ask once."""
    try:
        httpx.get(sys.argv[1]).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")


if __name__ == "__main__":
    main()
