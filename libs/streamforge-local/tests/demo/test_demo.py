"""The demo as `make demo` runs it, with every part real but the exchange: about ten seconds each."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streamforge_local.demo.platform_process import PlatformProcess

RECORDED = "binance-candles/BTCUSDT-5m-2022-07-14_2022-08-16.csv.gz"
HOUR_MS = 3_600_000
JANUARY_1 = 1_704_067_200_000


@pytest.fixture
def demo(tmp_path):
    """Start the demo with its home below `tmp_path`."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}  # noqa: TID251
    started = []

    def start(exchange):
        command = [sys.executable, "-m", "streamforge_local.demo", "--exchange", exchange]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def homes(tmp_path):
    return list(tmp_path.glob("streamforge-demo-*"))


def processes_of(tmp_path):
    """List the processes that were told a path below this one."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(tmp_path) in words:
            found.append(words.replace("\0", " "))
    return found


def test_the_demo_loads_everything_reports_it_and_leaves_nothing(demo, tmp_path):
    process = demo("simulated")

    told, _ = process.communicate(timeout=100)

    assert process.returncode == 0, told
    assert "SIMULATED: invented prices" in told
    assert "9,792 served by the exchange → 9,792 published to Kafka → 9,792 written to the database" in told
    assert "yes: 9,792 stored of 9,792 expected" in told
    assert "yes: 12 of 12 candles are what these" in told
    assert (homes(tmp_path), processes_of(tmp_path)) == ([], [])


def test_the_demo_loads_a_recording_as_a_whole(demo, pytestconfig):
    recording = pytestconfig.rootpath.parent / "shared/data" / RECORDED
    if not recording.exists():
        pytest.skip(f"{recording} is not here")
    process = demo(f"replay:{recording}")

    told, _ = process.communicate(timeout=100)

    assert process.returncode == 0, told
    assert f"REPLAY: recorded data of {recording.name}" in told
    assert "2022-07-14:2022-08-17" in told
    assert "yes: 9,792 stored of 9,792 expected" in told


def test_the_demo_fails_where_a_candle_is_missing_and_keeps_what_it_left(demo, tmp_path):
    hours = [hour for hour in range(48) if hour != 30]
    lines = [
        f"{JANUARY_1 + hour * HOUR_MS},0.51,0.52,0.50,0.515,{hour}.5,{JANUARY_1 + (hour + 1) * HOUR_MS - 1},1.5,7,1,1,0"
        for hour in hours
    ]
    recording = tmp_path / "ADAUSDT-1h-2024-01.csv"
    recording.write_text("\n".join(lines))
    process = demo(f"replay:{recording}")

    told, _ = process.communicate(timeout=100)

    assert process.returncode == 1, told
    missing = f"binance:spot:ADAUSDT:candles_1h:{JANUARY_1 + 30 * HOUR_MS}"
    assert f"NO: 47 stored of 48 expected; 1 missing: {missing}" in " ".join(told.split())
    (home,) = homes(tmp_path)
    assert f"its logs are in {home / 'logs'}" in told
    assert (home / "logs" / "queue-manager.log").exists()
    assert processes_of(tmp_path) == []


def test_a_platform_that_cannot_start_says_why(demo, tmp_path):
    recording = tmp_path / "ADAUSDT-1h-2024-01.csv"
    recording.write_text("no,candles,at,all\n1,2,3\n")
    process = demo(f"replay:{recording}")

    told, _ = process.communicate(timeout=100)

    assert process.returncode == 1
    assert "error: exchange-sim ended while starting" in told
    assert recording.name in told.partition("error: ")[2]
    assert "Traceback" not in told
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize("moment", ["Starting a platform", "kafka is up", "Workflow: "])
def test_ctrl_c_ends_the_demo_and_leaves_nothing(demo, tmp_path, moment):
    process = demo("simulated")
    for line in process.stdout:
        if moment in line:
            break

    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=10)

    assert process.returncode == 130
    assert "Traceback" not in told
    assert (homes(tmp_path), processes_of(tmp_path)) == ([], [])


def test_ctrl_c_while_the_platform_is_being_started_waits_for_its_end(tmp_path, monkeypatch):
    started = []

    class Interrupted(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            started.append(self)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    platform = PlatformProcess(tmp_path / "home", "simulated")
    with pytest.raises(KeyboardInterrupt), platform:
        platform.start()
    (process,) = started
    process.stdout.close()
    assert process.returncode is not None
    assert processes_of(tmp_path) == []


def test_a_wrong_exchange_is_wrong_usage(demo, tmp_path):
    process = demo("bourse")

    told, _ = process.communicate(timeout=30)

    assert process.returncode == 2
    assert told == "error: --exchange is 'bourse', expected auto, live, simulated or replay:PATH\n"
    assert homes(tmp_path) == []
