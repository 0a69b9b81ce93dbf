"""The broker's settings, judged by Kafka itself: the program by which its image reads them is in the jar."""

import subprocess

import pytest
import yaml

from streamforge_local.kafka.install import install
from streamforge_local.settings import Settings
from tests.compose.test_platform import SERVICES

PROMISED = {
    "auto.create.topics.enable": "false",
    "log.message.timestamp.type": "LogAppendTime",
    "log.retention.ms": "-1",
}
"""Contract, section 2."""


@pytest.fixture
def properties(tmp_path):
    """What the image makes of its environment; it formats its storage by the way."""
    folders = {name: tmp_path / name for name in ("default", "mounted", "final")}
    for folder in folders.values():
        folder.mkdir()
    (folders["default"] / "server.properties").touch()
    for name in ("log4j2.yaml", "tools-log4j2.yaml"):
        (folders["default"] / name).write_text(
            yaml.safe_dump({"Configuration": {"Loggers": {"Root": {"level": "INFO"}}}})
        )
    installation = install(Settings.from_environment())
    command = [
        installation.java.executable,
        "-cp",
        f"{installation.jars}/*",
        "kafka.docker.KafkaDockerWrapper",
        "setup",
    ]
    command += [part for name, folder in folders.items() for part in (f"--{name}-configs-dir", str(folder))]
    environment = {**SERVICES["kafka"]["environment"], "KAFKA_LOG_DIRS": str(tmp_path / "data")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "data/meta.properties").exists(), "it is formatted"
    lines = (folders["final"] / "server.properties").read_text().splitlines()
    return dict(line.partition("=")[::2] for line in lines if line)


def test_the_image_takes_the_settings_and_they_are_what_the_contract_asks_for(properties):
    assert properties.items() >= PROMISED.items()
    assert properties["advertised.listeners"] == "CLIENT://kafka:9092"
