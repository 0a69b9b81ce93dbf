"""`streamforge doctor` on this machine, beside a scripted platform."""

import json

import pytest


@pytest.fixture
def no_url(script):
    """Let the home decide, and hand out the address."""
    url, script.url = script.url, ""
    return url


def checks_of(result):
    return {check["name"]: check["state"] for check in json.loads(result.stdout)["checks"]}


def test_a_machine_that_has_everything_is_well(no_url, streamforge, tmp_path):
    result = streamforge("doctor", "--home", str(tmp_path / "new"), "--json")

    assert checks_of(result) | {"ports": "ok", "kafka jars": "ok", "maven": "ok"} == {
        "java": "ok",
        "kafka jars": "ok",
        "maven": "ok",
        "home": "ok",
        "disk": "ok",
        "ports": "ok",
        "platform": "note",
    }
    assert result.exit_code == 0


def test_a_home_that_cannot_be_is_missing(no_url, streamforge, tmp_path):
    (tmp_path / "file").touch()

    result = streamforge("doctor", "--home", str(tmp_path / "file"))

    assert result.exit_code == 1
    assert f"missing home {tmp_path / 'file'} is no folder: choose another --home" in " ".join(result.stdout.split())


def test_every_component_of_a_running_platform_is_looked_at(script, streamforge, tmp_path):
    script.health = {"kafka": "ok", "arangodb": "no answer within 5 s"}

    result = streamforge("doctor", "--home", str(tmp_path), "--json")

    assert checks_of(result).items() >= {"queue-manager": "ok", "kafka": "ok", "arangodb": "missing"}.items()
    assert result.exit_code == 1


def test_a_platform_that_does_not_answer_is_missing(no_url, streamforge, tmp_path):
    fields = ("kafka_bootstrap_servers", "arango_url", "arango_database", "arango_username", "arango_password")
    platform = dict.fromkeys(fields, "") | {"exchange": "live", "queue_manager_url": "http://127.0.0.1:9"}
    (tmp_path / "platform.json").write_text(json.dumps(platform))

    result = streamforge("doctor", "--home", str(tmp_path), "--json")

    assert checks_of(result)["queue-manager"] == "missing"
    assert result.exit_code == 1
