"""The text of the images; whether they build and run is for `make images` and a cluster to tell."""

import re
import tomllib
from pathlib import Path

import pytest

from queue_manager.adapters.kubernetes import manifest

ROOT = Path(__file__).parents[1]
SERVICES = sorted(path.parent.name for path in ROOT.glob("services/*/pyproject.toml"))


def dockerfile(service):
    return (ROOT / "services" / service / "Dockerfile").read_text()


def test_the_images_of_all_services_are_the_same_text():
    texts = {dockerfile(service).replace(service, "SERVICE") for service in SERVICES}

    assert len(SERVICES) >= 4
    assert len(texts) == 1


@pytest.mark.parametrize("service", SERVICES)
def test_what_an_image_starts_is_the_services_own_command(service):
    project = tomllib.loads((ROOT / "services" / service / "pyproject.toml").read_text())["project"]

    assert service in project["scripts"]


def test_images_and_pods_agree():
    text = dockerfile(SERVICES[0])

    assert f"USER {manifest._USER}:{manifest._USER}" in text
    assert f"METRICS_PORT={manifest._METRICS_PORT}" in text
    assert re.search(r"uv==(\S+)", text)[1] == re.search(r"version=(\S+)", (ROOT / "scripts/ensure-uv").read_text())[1]
