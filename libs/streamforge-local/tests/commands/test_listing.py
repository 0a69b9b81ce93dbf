"""`streamforge ls` and `show`, and how a workflow is named."""

import json

import pytest

ONE, TWO = "wf-btcusdt-api_candles_5m-20240801-a1b2c3", "wf-ethusdt-api_candles_1m-20240801-d4e5f6"


def test_ls_shows_one_line_per_workflow(script, streamforge):
    script.workflows = [script.workflow(ONE, "loading", records=1_234), script.workflow(TWO)]

    heading, first, second = streamforge("ls").stdout.splitlines()

    assert heading.split() == ["QUEUE_ID", "STATUS", "TIME", "RANGE", "STORED", "AGE"]
    assert first.split()[:4] == [ONE, "loading", "2024-08-01:2024-08-02", "1,234"]
    assert second.split()[0] == TWO


def test_ls_in_json_gives_whole_documents(script, streamforge):
    script.workflows = [script.workflow(ONE), script.workflow(TWO)]

    lines = streamforge("ls", "--json").stdout.splitlines()

    assert [json.loads(line) for line in lines] == script.workflows


def test_ls_hands_on_its_filters(script, streamforge):
    streamforge("ls", "--status", "loading", "--symbol", "BTCUSDT", "--type", "api_candles_5m", "--limit", "7")

    assert script.asked == ["GET /workflows?status=loading&symbol=BTCUSDT&type=api_candles_5m&limit=7"]


def test_ls_turns_pages_up_to_its_limit(script, streamforge):
    script.page = 2
    script.workflows = [script.workflow(f"wf-x-20240801-00000{number}") for number in range(6)]

    shown = streamforge("ls", "--limit", "5", "--json").stdout.splitlines()

    assert [json.loads(line)["queue_id"][-1] for line in shown] == list("01234")


def test_ls_of_nothing_says_so_and_is_empty_for_a_program(streamforge):
    result = streamforge("ls", "--json")

    assert (result.stdout, result.stderr, result.exit_code) == ("", "", 0)
    assert streamforge("ls").stderr == "no workflows\n"


def test_show_tells_document_tasks_and_jobs(script, streamforge):
    script.states = [script.workflow(ONE, "error", error={"code": "job_failed", "detail": "a [bad] thing"})]
    script.jobs = [
        {"name": "loader-producer-a1b2c3-1", "target": "loader-producer", "status": "failed", "exit_code": 42}
    ]

    shown = streamforge("show", ONE).stdout

    assert "a [bad] thing (job_failed)" in shown
    assert "btcusdt_api_candles_5m_2024_08_01" in shown
    assert "loader-producer__a1b2c3" in shown
    assert "loader-producer-a1b2c3-1" in shown
    assert " 42 " in shown


def test_show_in_json_is_the_document_with_its_jobs(script, streamforge):
    script.states = [script.workflow(ONE)]
    script.jobs = [{"name": "j", "target": "t", "status": "running", "new": True}]

    assert json.loads(streamforge("show", ONE, "--json").stdout) == {**script.workflow(ONE), "jobs": script.jobs}


@pytest.mark.parametrize(("given", "meant"), [("d4e5f6", TWO), ("last", ONE), (ONE, ONE)])
def test_a_workflow_may_be_named_by_its_suffix_or_as_the_last(script, streamforge, given, meant):
    script.workflows = [script.workflow(ONE), script.workflow(TWO)]
    script.states = [script.workflow(meant)]
    script.page = 1

    streamforge("show", given)

    assert f"GET /workflows/{meant}" in script.asked


def test_an_ambiguous_suffix_names_all_that_may_be_meant(script, streamforge):
    twins = ["wf-a-20240801-a1b2c3", "wf-b-20240801-a1b2c3"]
    script.workflows = [script.workflow(each) for each in twins]

    result = streamforge("stop", "a1b2c3")

    assert result.exit_code == 1
    assert all(each in result.stderr for each in twins)
    assert not [call for call in script.asked if call.startswith("POST")]


@pytest.mark.parametrize("given", ["000000", "last", "wf-unknown", "../../health", "a b?c#d"])
def test_an_unknown_workflow_is_one_line(streamforge, given):
    result = streamforge("show", given)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_no_name_at_all_is_wrong_usage(streamforge):
    assert streamforge("show", "").exit_code == 2
