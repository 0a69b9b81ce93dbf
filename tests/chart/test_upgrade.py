"""An upgrade from every chart that was released before keeps what runs: nothing is renamed, nothing immutable changes.

`released/<version>` holds values as somebody may have given them then, and what the chart made of them: names,
immutable fields, labels of jobs, and the entries of ConfigMaps, which new pods of old Jobs read. Neither file is ever
changed; `python -m tests.chart.test_upgrade` writes the second one for a new version.
"""

import sys
from pathlib import Path

import pytest
import yaml

from tests.chart.conftest import CHART, jobs_of, objects_of, template

RELEASED = Path(__file__).parent / "released"
IMMUTABLE = {"Deployment": ("spec", "selector"), "RoleBinding": ("roleRef",)}
"""Kubernetes refuses to change it, and with it the whole upgrade."""


def lasting(objects):
    """By kind and name, what has to stay as it is."""
    found = {}
    for each in objects:
        kind, fixed = each["kind"], each
        for part in IMMUTABLE.get(kind, ("metadata", "nothing of it")):
            fixed = fixed.get(part, {})
        entries = sorted(each.get("data", ()))
        found[f"{kind}/{each['metadata']['name']}"] = {"fixed": fixed, "labels": {}, "entries": entries}
    for target, job in jobs_of(objects).items():
        found[f"Job of {target}"] = {"fixed": {}, "labels": job["metadata"]["labels"], "entries": []}
    return found


def rendered(version, chart=CHART):
    done = template("minimal", "--values", RELEASED / version / "values.yaml", chart=chart)
    assert done.returncode == 0, done.stderr
    return objects_of(done.stdout)


@pytest.mark.parametrize("version", sorted(each.name for each in RELEASED.iterdir()))
def test_what_a_released_chart_made_is_still_there(version):
    before = yaml.safe_load((RELEASED / version / "lasting.yaml").read_text())
    now = lasting(rendered(version))

    assert before.keys() <= now.keys()
    for name, was in before.items():
        assert now[name]["fixed"] == was["fixed"], name
        assert now[name]["labels"].items() >= was["labels"].items(), name
        assert set(now[name]["entries"]) >= set(was["entries"]), name


if __name__ == "__main__":
    version, chart = sys.argv[1], Path(sys.argv[2])
    (RELEASED / version / "lasting.yaml").write_text(yaml.safe_dump(lasting(rendered(version, chart))))
