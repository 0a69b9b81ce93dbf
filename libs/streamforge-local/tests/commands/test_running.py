"""`streamforge run`, and how every command fails."""

import json
import signal
import subprocess
import sys
import time

import pytest

DAY = ("BTCUSDT", "api_candles_5m", "2024-08-01:2024-08-02")


def test_run_posts_what_was_typed(script, streamforge):
    script.states = [script.workflow()]

    streamforge("run", *DAY, "--exchange", "bybit", "--market", "linear", "--collection", "mine")

    assert script.bodies == [
        {
            "symbol": "BTCUSDT",
            "type": "api_candles_5m",
            "time_range": "2024-08-01:2024-08-02",
            "exchange": "bybit",
            "market": "linear",
            "collection_name": "mine",
        }
    ]


def test_several_symbols_are_a_basket(script, streamforge):
    script.states = [script.workflow()]

    streamforge("run", "BTCUSDT,ETHUSDT", *DAY[1:])

    [body] = script.bodies
    assert (body["symbols"], "symbol" in body) == (["BTCUSDT", "ETHUSDT"], False)


@pytest.mark.parametrize(("start", "sent"), [("3600", 3_600.0), ("2024-08-01T00:00:00Z", "2024-08-01T00:00:00Z")])
def test_a_live_type_has_no_range_and_may_have_a_duration_and_begin_before(script, streamforge, start, sent):
    script.states = [script.workflow()]

    streamforge("run", "BTCUSDT", "ws_trades", "--duration", "30", "--backfill", start)

    assert script.bodies == [
        {
            "symbol": "BTCUSDT",
            "type": "ws_trades",
            "time_range": "",
            "exchange": "binance",
            "market": "spot",
            "options": {"duration": 30.0, "backfill": sent},
        }
    ]


def test_the_source_is_passed_on(script, streamforge):
    script.states = [script.workflow()]

    streamforge("run", *DAY, "--source", "dump")

    assert script.bodies[0]["options"] == {"source": "dump"}


def test_run_follows_until_the_workflow_has_completed(script, streamforge):
    script.states = [
        script.workflow(status="pending", records=0),
        script.workflow(status="loading", records=100),
        script.workflow(),
    ]

    result = streamforge("run", *DAY)

    assert result.exit_code == 0
    assert "loading, loader-producer 100 of 288, arango-connector 100 of 288" in result.stdout
    assert result.stdout.endswith(
        "completed after 2.5 s: 288 records stored in btcusdt_api_candles_5m_2024_08_01\n"
        "verdict: complete, 288 of 288 expected records stored\n"
    )


@pytest.mark.parametrize(("verdict", "exit_code"), [("complete", 0), ("unproven", 0), ("incomplete", 1)])
@pytest.mark.parametrize("option", [[], ["--json"]])
def test_run_exits_1_when_the_workflow_has_completed_and_something_is_missing(
    script, streamforge, verdict, exit_code, option
):
    script.states = [script.workflow()]
    script.quality = script.report(verdict)

    assert streamforge("run", *DAY, *option).exit_code == exit_code


def test_run_in_json_gives_a_line_for_every_change_and_nothing_else(script, streamforge):
    loading = script.workflow(status="loading", records=100)
    script.states = [script.workflow(status="pending", records=0), loading, loading, script.workflow()]

    result = streamforge("run", *DAY, "--json")

    assert [json.loads(line) for line in result.stdout.splitlines()] == [loading, script.workflow()]
    assert (result.stderr, result.exit_code) == ("", 0)


def test_run_without_following_ends_at_once(script, streamforge):
    script.states = [script.workflow(status="pending", records=0)]

    person, program = streamforge("run", *DAY, "--no-follow"), streamforge("run", *DAY, "--no-follow", "--json")

    assert person.stdout == "wf-btcusdt-api_candles_5m-20240801-a1b2c3\n"
    assert json.loads(program.stdout)["status"] == "pending"
    assert script.asked == ["POST /workflows"] * 2


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_run_of_a_workflow_that_fails_exits_1(script, streamforge, option):
    error = {"code": "exchange_refused", "detail": "Invalid symbol.\n(-1121)", "retryable": False}
    script.states = [script.workflow(status="pending"), script.workflow(status="error", error=error)]

    result = streamforge("run", *DAY, *option)

    assert result.exit_code == 1
    if not option:
        assert result.stderr == (
            "error: wf-btcusdt-api_candles_5m-20240801-a1b2c3 failed: Invalid symbol. (-1121) (exchange_refused)\n"
        )


def test_run_of_a_workflow_that_somebody_stops_exits_1(script, streamforge):
    script.states = [script.workflow(status="pending"), script.workflow(status="stopped")]

    result = streamforge("run", *DAY)

    assert (result.exit_code, result.stderr) == (1, "error: wf-btcusdt-api_candles_5m-20240801-a1b2c3 is stopped\n")


def test_a_request_that_is_refused_exits_2_with_a_line_per_field(script, streamforge):
    errors = [
        {"pointer": "#/symbol", "detail": "'BTC/USDT' is not a symbol"},
        {"pointer": "#/time_range", "detail": "the end must not lie in the future"},
    ]
    script.refusal = (422, {"detail": "the request cannot be carried out", "errors": errors})

    result = streamforge("run", *DAY, "--json")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "error: symbol: 'BTC/USDT' is not a symbol\nerror: time_range: the end must not lie in the future\n"
    )


def test_a_refusal_without_fields_is_told_by_its_detail(script, streamforge):
    script.refusal = (413, {"detail": "the body is larger than 1048576 bytes"})

    result = streamforge("run", *DAY)

    assert (result.exit_code, result.stderr) == (2, "error: the body is larger than 1048576 bytes\n")


@pytest.mark.parametrize("words", [["run", "BTCUSDT"], ["run", *DAY, "--fast"], ["ls", "--limit", "0"]])
def test_wrong_usage_exits_2(streamforge, words):
    assert streamforge(*words).exit_code == 2


def test_nobody_at_the_address_is_one_line(streamforge):
    result = streamforge("ls", "--url", "http://127.0.0.1:9")

    assert result.exit_code == 1
    assert result.stderr == ("error: nothing answers at http://127.0.0.1:9: start the platform with `streamforge up`\n")


def test_something_that_is_no_address_exits_2(streamforge):
    result = streamforge("ls", "--url", "localhost")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: 'localhost' is not a URL such as http://127.0.0.1:8080\n"


def test_another_server_at_the_address_is_told(script, streamforge):
    result = streamforge("show", "wf-x", "--url", f"{script.url}/elsewhere")

    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


def test_the_platform_is_found_by_its_home(script, streamforge, tmp_path, monkeypatch):
    platform = {name: "" for name in ("kafka_bootstrap_servers", "arango_url", "arango_database", "arango_username")}
    platform |= {"arango_password": "", "exchange": "live", "queue_manager_url": script.url}
    (tmp_path / "platform.json").write_text(json.dumps(platform))
    script.workflows, script.url = [script.workflow()], ""

    result = streamforge("ls", "--home", str(tmp_path), "--json")

    assert json.loads(result.stdout) == script.workflow()


def test_a_proxy_does_not_stand_between_us_and_our_own_machine(script, streamforge, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    assert streamforge("ls").exit_code == 0


def test_a_home_without_a_platform_is_one_line_that_says_what_to_do(script, streamforge, tmp_path):
    script.url = ""

    result = streamforge("ls", "--home", str(tmp_path))

    assert result.exit_code == 1
    assert result.stderr == (
        f"error: no platform runs on {tmp_path}: start one with `streamforge up`, or name another by --home or --url\n"
    )


def test_ctrl_c_leaves_the_workflow_running_and_says_how_to_get_back(script):
    script.states = [script.workflow(status="loading", records=100)]
    command = [sys.executable, "-m", "streamforge_local", "run", *DAY, "--url", script.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while len(script.asked) < 3:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=10)

    queue_id = script.states[0]["queue_id"]
    assert process.returncode == 130
    assert f"{queue_id} goes on" in told
    assert f"streamforge watch {queue_id} --url {script.url}" in told
    assert f"streamforge stop {queue_id} --url {script.url}" in told
    assert "Traceback" not in told
    assert not [call for call in script.asked if call.endswith("/stop")]
