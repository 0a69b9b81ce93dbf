"""What the chart renders: the whole of it, and that tools which know Kubernetes find nothing wrong with it."""

import shutil

import pytest
import yaml
from inline_snapshot import external_file, snapshot

from tests import programs
from tests.chart.conftest import CHART, VALUES, template

OPERATORS_KINDS = ("ServiceMonitor", "PodMonitor", "Kafka", "KafkaNodePool", "KafkaUser", "ArangoDeployment")
"""No part of Kubernetes' API, so their schema is not checked here."""


def test_least_is_rendered_as_it_was(render):
    assert render("minimal") == external_file("rendered/minimal.yaml", format=".txt")


def test_everything_is_rendered_as_it_was(render):
    assert render("full") == external_file("rendered/full.yaml", format=".txt")


@pytest.mark.parametrize("values", ["minimal", "full"])
def test_lint_finds_nothing(values):
    checked = programs.run("helm", "lint", "--strict", CHART, "--values", VALUES / f"{values}.yaml")

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("missing", ["kafka.bootstrapServers", "arangodb.url"])
def test_without_an_address_that_nobody_can_guess_nothing_is_rendered(missing):
    done = template("minimal", "--set", f"{missing}=")

    assert done.returncode != 0
    assert f"{missing} is required" in done.stderr


def test_the_notes_name_what_there_is(tmp_path):
    chart = shutil.copytree(CHART, tmp_path / "streamforge")
    notes = '{{ include "streamforge/templates/NOTES.txt" . | trim | quote }}'
    (chart / "templates/notes.yaml").write_text(f"notes: {notes}\n")
    rendered = template("full", "--show-only", "templates/notes.yaml", chart=chart)

    assert yaml.safe_load(rendered.stdout)["notes"] == snapshot("""\
queue-manager answers as streamforge-queue-manager:80 in the namespace streamforge, and as https://streamforge.example.

Load a day of candles:

  kubectl -n streamforge port-forward service/streamforge-queue-manager 8080:80 &
  key=$(kubectl -n streamforge get secret admin -o go-template='{{index .data "key" | base64decode}}')
  curl http://127.0.0.1:8080/workflows -H "Authorization: Bearer $key" -H 'Content-Type: application/json' \\
    -d '{"symbol": "BTCUSDT", "type": "api_candles_5m", "time_range": "2024-08-01:2024-08-02"}'

and follow its jobs:

  kubectl -n streamforge get jobs -l app.kubernetes.io/instance=streamforge -L streamforge.io/queue-id -w

`helm test streamforge -n streamforge` asks whether all is well.\
""")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("kafka.bootstrapServer=kafka:9092", "bootstrapServer"),
        ("kafka.bootstrapServers=kafka", "bootstrapServers"),
        ("queueManager.replicas=0", "replicas"),
        ("jobs.targets.loader-producer.requests.cpu=2", "cpu"),
        ("jobs.targets.loader-producer.egress={internet}", "egress"),
        ("arangodb.password=secret", "password"),
    ],
)
def test_a_value_that_means_nothing_is_refused_by_its_name(wrong, told):
    done = template("minimal", "--set", wrong)

    assert done.returncode != 0
    assert told in done.stderr


@pytest.mark.parametrize("values", ["minimal", "full"])
def test_every_object_keeps_to_the_schemas_of_the_api(render, values):
    programs.assert_keeps_to_the_schemas(render(values), skip=",".join(OPERATORS_KINDS))
