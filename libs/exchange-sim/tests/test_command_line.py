import os
import signal
import subprocess
import sys
import urllib.request

import pytest

COMMAND = [sys.executable, "-m", "exchange_sim", "serve", "--port", "0"]
CANDLE = "1738368000000,1,2,1,1.5,10,1738368059999,15,3,5,7.5,0\n"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_url_serves_and_ends_with_status_0_on_a_signal(tmp_path, signum):
    (tmp_path / "ABCUSDT-1m-2025-02.csv").write_text(CANDLE)
    process = subprocess.Popen([*COMMAND, "--replay", str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with process:
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{url}/api/v3/ping") as response:
            assert response.read() == b"{}"
        process.send_signal(signum)
        assert process.wait(timeout=20) == 0
        assert process.stdout.read() == ""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_it_is_still_reading_ends_it_with_status_0(tmp_path, signum):
    pipe = tmp_path / "ABCUSDT-1m-2025-02.csv"
    os.mkfifo(pipe)
    with subprocess.Popen([*COMMAND, "--replay", str(pipe)]) as process, pipe.open("w"):
        process.send_signal(signum)
        assert process.wait(timeout=20) == 0


def test_a_malformed_file_ends_the_start_with_one_line(tmp_path):
    path = tmp_path / "ABCUSDT-1m-2025-02.csv"
    path.write_text(CANDLE + "nonsense\n")
    finished = subprocess.run([*COMMAND, "--replay", str(tmp_path)], capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr == f"exchange-sim: {path}, line 2: expected 12 columns, found 1\n"
