"""Runs the tests of python-arango-async, as its authors publish them, against arangolite.

`python trials/driver_suite.py [--folder DIR]`. The driver's source distribution comes from the package index, in the
version below, with an environment of its own. What is expected to fail or to be skipped, and why, is in `DRIVERS.md`;
the exit code is 1 when a test ends otherwise, whether worse or better, so that the page stays true.
"""

import argparse
import re
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DRIVER = "python-arango-async"
VERSION = "1.2.7"
PAGE = Path(__file__).parent.parent / "DRIVERS.md"
PASSWORD, SECRET = "passwd", "secret"
SKIPPED_AREAS = ("enterprise", "jwt-secret-keyfile", "foxx", "js-transactions", "task", "backup")
"""What the suite itself can leave out, because not every ArangoDB has it."""
# What the suite imports beside the driver.
TOOLS = ("pytest>=8.2", "pytest-asyncio>=0.23.8", "aiofiles>=24.1")
# One line of the page's table: the test, how it ends, why.
_ROW = re.compile(r"\| `(?P<test>[^`]+)` \| (?P<outcome>failed|skipped) \| (?P<reason>.+) \|")


def expected_outcomes(page: str) -> dict[str, str]:
    """Read the page's table: outcomes by test."""
    return {row["test"]: row["outcome"] for row in _ROW.finditer(page)}


def prepare(folder: Path) -> tuple[Path, Path]:
    """Get the driver and its tests; returns the Python that has them and the folder of the sources."""
    python = folder / "venv" / "bin" / "python"
    sources = folder / f"{DRIVER.replace('-', '_')}-{VERSION}"
    if not sources.exists():
        run([sys.executable, "-m", "venv", str(folder / "venv")])
        run([str(python), "-m", "pip", "install", "--quiet", f"{DRIVER}=={VERSION}", *TOOLS])
        fetch = [str(python), "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        run([*fetch, "--dest", str(folder), f"{DRIVER}=={VERSION}"])
        with tarfile.open(sources.with_name(f"{sources.name}.tar.gz")) as archive:
            archive.extractall(folder, filter="data")
    return python, sources


def run(command: list[str]) -> None:
    """Run a command, or end with its words."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run arangolite on an empty folder and give its port."""
    command = [sys.executable, "-m", "arangolite", "serve", "--port", "0", "--root-password", PASSWORD]
    command += ["--jwt-secret", SECRET, "--data-dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().rpartition(":")[2].strip()
        finally:
            process.terminate()


def run_suite(python: Path, sources: Path, port: str) -> dict[str, str]:
    """Run all tests; returns how each ended."""
    report = sources.parent / "report.xml"
    report.unlink(missing_ok=True)
    command = [str(python), "-m", "pytest", "-q", "-q", f"--junitxml={report}", "--port", port]
    command += ["--password", PASSWORD, "--secret", SECRET, "--skip", *SKIPPED_AREAS]
    with (sources.parent / "suite.log").open("w") as log:
        subprocess.run(command, cwd=sources, stdout=log, stderr=subprocess.STDOUT, check=False, timeout=1200)
    return {
        f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}": outcome_of(case)
        for case in ET.parse(report).iter("testcase")  # noqa: S314 - pytest has just written it
    }


def outcome_of(case: ET.Element) -> str:
    """Tell how a test has ended."""
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "passed" if case.find("skipped") is None else "skipped"


def differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """Say what is not as the page says."""
    told = [
        f"{test}: {outcome}, the page says {expected.get(test, 'passed')}"
        for test, outcome in found.items()
        if outcome != expected.get(test, "passed")
    ]
    return told + [f"{test}: there is no such test, the page has it" for test in expected if test not in found]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="keep the driver and the logs here, to run again without fetching")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="driver-suite-") as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        python, sources = prepare(folder)
        with server(Path(scratch) / "data") as port:
            found = run_suite(python, sources, port)
        told = differences(expected_outcomes(PAGE.read_text()), found)
        counts = ", ".join(f"{list(found.values()).count(o)} {o}" for o in ("passed", "failed", "skipped"))
        print(f"{DRIVER} {VERSION}: {counts}")
        if told:
            print((folder / "suite.log").read_text()[-20_000:])
            sys.exit("not as DRIVERS.md says:\n" + "\n".join(told))


if __name__ == "__main__":
    main()
