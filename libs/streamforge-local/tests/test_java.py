from pathlib import Path

import pytest

from streamforge_local.errors import PlatformError
from streamforge_local.kafka.java import find_java


def java_that_says(folder: Path, answer: str) -> Path:
    program = folder / "bin" / "java"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\necho '{answer}' >&2\n")
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', "17.0.15"),
        ('openjdk version "21" 2023-09-19', "21"),
        ('openjdk version "25-ea" 2025-09-16', "25"),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "21.0.2" 2024-01-16', "21.0.2"),
    ],
)
def test_a_new_enough_java_is_found(tmp_path: Path, answer: str, version: str) -> None:
    assert find_java(java_that_says(tmp_path, answer)).version == version


@pytest.mark.parametrize("answer", ['java version "1.8.0_412"', 'openjdk version "11.0.23" 2024-04-16'])
def test_an_old_java_is_refused_with_what_to_install(tmp_path: Path, answer: str) -> None:
    with pytest.raises(PlatformError, match=r"too old.*openjdk-17-jre-headless"):
        find_java(java_that_says(tmp_path, answer))


def test_a_wrong_java_home_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="JAVA_HOME is"):
        find_java(tmp_path)


def test_what_is_no_java_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="told no version"):
        find_java(java_that_says(tmp_path, "command not found"))
