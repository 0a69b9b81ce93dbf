"""`python -m streamforge_local.kafka` has Kafka's jars on this machine when it ends; a second run does nothing."""

import logging
import sys

from streamforge_local.errors import PlatformError
from streamforge_local.kafka.install import install
from streamforge_local.settings import Settings

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        install(Settings.from_environment())
    except PlatformError as error:
        sys.exit(f"error: {error}")
