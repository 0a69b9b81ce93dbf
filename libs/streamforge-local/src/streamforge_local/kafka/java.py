"""Find a Java that can run Kafka 4, and Maven."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from streamforge_local.errors import PlatformError

OLDEST_JAVA = 17
"""What a broker of Kafka 4 needs."""

_HOW_TO_INSTALL_JAVA = "install it (Debian, Ubuntu: apt-get install openjdk-17-jre-headless) or set JAVA_HOME"


@dataclass(frozen=True, slots=True)
class Java:
    """A JVM that is new enough."""

    executable: str
    """Path of the `java` program."""

    version: str
    """As it tells itself, e.g. `17.0.15`."""


def find_java(java_home: Path | None) -> Java:
    """Find a Java 17 or newer, in `JAVA_HOME` or on the path.

    Raises:
        PlatformError: There is none, or an older one.
    """
    if java_home and not (java_home / "bin" / "java").exists():
        raise PlatformError(f"JAVA_HOME is {java_home}, where there is no Java: correct it or unset it")
    executable = str(java_home / "bin" / "java") if java_home else shutil.which("java")
    if executable is None:
        raise PlatformError(f"Java {OLDEST_JAVA} or newer is missing: {_HOW_TO_INSTALL_JAVA}")
    answer = subprocess.run([executable, "-version"], capture_output=True, text=True, check=False).stderr
    version = _parse_version(answer)
    if version is None:
        raise PlatformError(f"{executable} -version told no version ({answer[:80]!r}): {_HOW_TO_INSTALL_JAVA}")
    if int(version.partition(".")[0]) < OLDEST_JAVA:
        raise PlatformError(f"Java {version} is too old, Kafka needs {OLDEST_JAVA}: {_HOW_TO_INSTALL_JAVA}")
    return Java(executable, version)


def find_maven() -> str:
    """Find the `mvn` program.

    Raises:
        PlatformError: It is not on the path.
    """
    executable = shutil.which("mvn")
    if executable is None:
        raise PlatformError("Maven is missing: install it (Debian, Ubuntu: apt-get install maven)")
    return executable


def _parse_version(answer: str) -> str | None:
    """Read the version out of `java -version`.

    Sample: `openjdk version "17.0.15" 2025-04-15` (Debian 12); Java 8 says `"1.8.0_412"`, which is too old either way.
    """
    found = re.search(r'version "(\d[\d.]*)', answer)
    return found.group(1) if found else None
