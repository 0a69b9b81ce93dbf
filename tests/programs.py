"""Programs that some tests need and not every machine has."""

import shutil
import subprocess
from pathlib import Path

import pytest

from streamforge_local.settings import Settings

_WITHIN_S = 300
"""Only so that a program that hangs is named; Helm waits for pods."""


def find(name: str) -> str:
    """Return where a program is, on the PATH or where `make chart-tools` has put it; without it the test is skipped."""
    built = Settings.from_environment().cache_folder / "chart-tools"
    found = shutil.which(name) or shutil.which(name, path=str(built))
    if found is None:
        pytest.skip(f"{name} is not there; `make chart-tools` builds it")
    return found


def run(name: str, *arguments: str | Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, however it ends; `given` is its standard input."""
    return subprocess.run(
        [find(name), *map(str, arguments)], input=given, capture_output=True, text=True, check=False, timeout=_WITHIN_S
    )


def assert_keeps_to_the_schemas(manifests: str, *, skip: str = "") -> None:
    """Check YAML documents against the schemas of the API, strictly.

    The schemas are in a folder `schemas-*` beside that of kubeconform, where `make chart-tools` puts them; without one
    the test is skipped.

    Args:
        manifests: YAML, one document per object.
        skip: Kinds that are no part of the API, comma-separated.
    """
    schemas = sorted(Path(find("kubeconform")).resolve().parents[1].glob("schemas-*"))
    if not schemas:
        pytest.skip("there are no schemas beside kubeconform's folder")
    location = f"{schemas[-1]}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    checked = run(
        "kubeconform", "-strict", "-summary", "-skip", skip, "-schema-location", location, "-", given=manifests
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "Valid: 0" not in checked.stdout, checked.stdout
