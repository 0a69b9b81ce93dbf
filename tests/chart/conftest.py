"""The chart as it is rendered with the least that has to be said, and with everything said."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from queue_manager.adapters.kubernetes.manifest import job_manifest
from queue_manager.app.ports import JobSpec
from queue_manager.settings import KubernetesLauncherSettings, Settings
from tests import programs

CHART = Path(__file__).parents[2] / "deploy/helm/streamforge"
VALUES = Path(__file__).parent / "values"
RELEASE = NAMESPACE = "streamforge"
QUEUE_MANAGER = "streamforge-queue-manager"
KUBERNETES = "1.34.0"
"""Helm asks no cluster when it only renders, and one that was built from source takes an old one for granted."""

Object = dict[str, Any]
Render = Callable[[str], str]


def template(values: str, *more: str, chart: Path = CHART) -> subprocess.CompletedProcess[str]:
    """Render with the values of a file in `values/`."""
    release = ("template", RELEASE, chart, "--namespace", NAMESPACE, "--kube-version", KUBERNETES)
    return programs.run("helm", *release, "--values", VALUES / f"{values}.yaml", *more)


@pytest.fixture(scope="session")
def render() -> Render:
    """Render once for all tests, and well."""
    rendered: dict[str, str] = {}

    def render(values: str) -> str:
        if values not in rendered:
            done = template(values)
            assert done.returncode == 0, done.stderr
            rendered[values] = done.stdout
        return rendered[values]

    return render


@pytest.fixture(params=["minimal", "full"])
def objects(request: pytest.FixtureRequest, render: Render) -> list[Object]:
    """What is rendered with either."""
    return objects_of(render(request.param))


def objects_of(rendered: str) -> list[Object]:
    """Read YAML documents."""
    return [each for each in yaml.safe_load_all(rendered) if each]


def find(objects: list[Object], kind: str, name: str) -> Object:
    """Find an object."""
    (found,) = (each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def pod_of_queue_manager(objects: list[Object]) -> Object:
    """Its metadata and specification."""
    pod: Object = find(objects, "Deployment", QUEUE_MANAGER)["spec"]["template"]
    return pod


def variables_of(objects: list[Object]) -> dict[str, str]:
    """What queue-manager finds in its environment, but for secrets."""
    (container,) = pod_of_queue_manager(objects)["spec"]["containers"]
    maps = [source["configMapRef"]["name"] for source in container["envFrom"] if "configMapRef" in source]
    variables = {name: text for each in maps for name, text in find(objects, "ConfigMap", each)["data"].items()}
    return variables | {each["name"]: each["value"] for each in container["env"] if "value" in each}


def jobs_of(objects: list[Object]) -> dict[str, Object]:
    """By target, the Job that queue-manager makes when it is told what is rendered."""
    told = {name.lower(): text for name, text in variables_of(objects).items()}
    plan = KubernetesLauncherSettings(**told).plan(Settings(**told))
    specs = (JobSpec(f"{target}-a-1", "wf-a", target, f"{target}__a", 1, 0) for target in plan.targets)
    return {spec.target: job_manifest(spec, plan) for spec in specs}


def with_jobs(rendered: str) -> str:
    """What is rendered, and the Jobs that queue-manager makes when it is told so, for tools that look at all of it."""
    jobs = list(jobs_of(objects_of(rendered)).values())
    for job in jobs:
        # Helm names no namespace when it only renders.
        del job["metadata"]["namespace"]
    return f"{rendered}---\n{yaml.safe_dump_all(jobs)}"
