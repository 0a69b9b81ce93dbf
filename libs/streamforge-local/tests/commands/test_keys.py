"""`streamforge keys`, and where the command line takes its own key from."""

import json

import pytest
from typer.testing import CliRunner

from streamforge_local.client.finding import find_key, key_file
from streamforge_local.commands.app import app as command_line
from streamforge_local.settings import Settings

ONE = "wf-btcusdt-api_candles_5m-20240801-a1b2c3"


@pytest.fixture
def grafana(script):
    key = {"id": "a1b2c3d4", "role": "viewer", "name": "Grafana", "created_at": "2024-08-03T10:00:00.000Z"}
    script.keys = [key | {"created_by": "admin-file", "last_used_at": None, "revoked_at": None}]
    return script.keys[0]


def test_a_new_key_is_all_that_stdout_holds(script, streamforge, grafana):
    result = streamforge("keys", "create", "--role", "viewer", "--name", "Grafana")

    assert result.stdout == "sf_told-once\n"
    assert result.stderr == "a1b2c3d4: a key with the role viewer, shown only now\n"
    assert script.bodies == [{"role": "viewer", "name": "Grafana"}]


def test_a_new_key_in_json_is_its_document(streamforge, grafana):
    made = json.loads(streamforge("keys", "create", "--role", "viewer", "--json").stdout)

    assert made == grafana | {"key": "sf_told-once"}


def test_a_role_that_is_none_is_refused_before_anybody_is_asked(script, streamforge):
    result = streamforge("keys", "create", "--role", "root")

    assert result.exit_code == 2
    assert script.asked == []


def test_keys_are_listed_with_their_state(script, streamforge, grafana):
    script.keys = [
        grafana,
        grafana
        | {
            "id": "ffff0000",
            "role": "admin",
            "last_used_at": grafana["created_at"],
            "revoked_at": "2024-08-04T10:00:00.000Z",
        },
    ]

    heading, first, second = streamforge("keys", "ls").stdout.splitlines()

    assert heading.split() == ["KEY_ID", "ROLE", "NAME", "AGE", "LAST", "USED", "STATE"]
    assert (first.split()[:3], first.split()[-2:]) == (["a1b2c3d4", "viewer", "Grafana"], ["never", "valid"])
    assert second.split()[0] == "ffff0000"
    assert "revoked" in second
    assert [json.loads(line) for line in streamforge("keys", "ls", "--json").stdout.splitlines()] == script.keys


def test_a_key_is_revoked(script, streamforge):
    person, program = streamforge("keys", "revoke", "a1b2c3d4"), streamforge("keys", "revoke", "a/b", "--json")

    assert (person.stdout, person.exit_code) == ("a1b2c3d4 is revoked\n", 0)
    assert json.loads(program.stdout) == {"id": "a/b", "revoked": True}
    assert script.asked == ["DELETE /keys/a1b2c3d4", "DELETE /keys/a%2Fb"]


@pytest.mark.parametrize(("key", "exit_code"), [("sf_right", 0), ("sf_wrong", 1), (None, 1), ("", 1), ("sf_\u20ac", 2)])
def test_the_environment_holds_the_key(script, key, exit_code):
    script.states, script.needs_key = [script.workflow(ONE)], "sf_right"
    runner = CliRunner(env={"STREAMFORGE_URL": script.url, "STREAMFORGE_API_KEY": key})

    result = runner.invoke(command_line, ["show", ONE])

    assert result.exit_code == exit_code
    assert exit_code != 1 or "STREAMFORGE_API_KEY" in result.stderr
    assert "sf_" not in result.output


def test_the_key_in_a_home_folder_is_for_its_own_platform_only(tmp_path):
    key_file(tmp_path).write_text("sf_homes\n")

    assert find_key(None, None, tmp_path) == "sf_homes"
    assert find_key("sf_named", None, tmp_path) == "sf_named"
    assert find_key(None, "http://elsewhere", tmp_path) is None
    assert find_key(None, None, tmp_path / "nowhere") is None


def test_a_persons_key_reaches_no_process_of_the_platform(monkeypatch):
    monkeypatch.setenv("STREAMFORGE_API_KEY", "sf_mine")

    settings = Settings.from_environment()

    assert settings.api_key == "sf_mine"
    assert "STREAMFORGE_API_KEY" not in settings.inherited
