"""Who is told which password: nobody those of whom it does not talk to."""

import pytest
import yaml

from streamforge_common.contract.targets import ACCESS_OF_TARGETS
from tests.chart.conftest import CHART, jobs_of, objects_of, pod_of_queue_manager, template

SASL = "kafka.securityProtocol=SASL_SSL"


def told(pod):
    """By variable, the Secret and entry that a pod takes it from, and the Secrets that it takes whole."""
    (container,) = pod["spec"]["containers"]
    entries = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in container["env"] if "valueFrom" in each}
    whole = [each["secretRef"]["name"] for each in container["envFrom"] if "secretRef" in each]
    return {name: (place["name"], place["key"]) for name, place in entries.items()}, whole


def rendered(*settings):
    done = template("minimal", *(part for each in settings for part in ("--set", each)))
    assert done.returncode == 0, done.stderr
    objects = objects_of(done.stdout)
    jobs = {target: job["spec"]["template"] for target, job in jobs_of(objects).items()}
    return {name: told(pod) for name, pod in {"queue-manager": pod_of_queue_manager(objects), **jobs}.items()}


def test_jobs_talk_to_whom_their_target_is_said_to():
    targets = yaml.safe_load((CHART / "values.yaml").read_text())["jobs"]["targets"]

    assert {name: set(target["egress"]) for name, target in targets.items()} == {
        name: set(ACCESS_OF_TARGETS[name]) for name in targets
    }


def test_loaders_are_told_no_password_of_the_database():
    password = {"ARANGO_PASSWORD": ("streamforge-credentials", "ARANGO_PASSWORD")}

    assert rendered() == {
        "queue-manager": (password, []),
        "arango-connector": (password, []),
        "loader-producer": ({}, []),
        "loader-ws": ({}, []),
    }


def test_everybody_who_talks_to_the_broker_may_be_a_user_of_its_own():
    loader = "jobs.targets.loader-producer.kafka"
    of = rendered(SASL, "kafka.username=sf", "kafka.secret=sf", f"{loader}.username=loader", f"{loader}.secret=loader")
    asked = {name: secrets["KAFKA_SASL_PASSWORD"] for name, (secrets, _) in of.items()}

    assert asked == {
        "queue-manager": ("sf", "password"),
        "arango-connector": ("sf", "password"),
        "loader-producer": ("loader", "password"),
        "loader-ws": ("sf", "password"),
    }


def test_secrets_of_whole_variables_are_still_told_to_everybody():
    """As before there were others: an installation that names them goes on."""
    of = rendered(SASL, "credentials={database,broker}")

    assert set(of) >= {"queue-manager", "loader-producer"}
    assert all(each == ({}, ["database", "broker"]) for each in of.values())


@pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT"])
def test_a_broker_that_asks_for_a_user_needs_a_secret(protocol):
    done = template("minimal", "--set", f"kafka.securityProtocol={protocol}")

    assert done.returncode != 0
    assert "kafka.secret is required with SASL" in done.stderr
