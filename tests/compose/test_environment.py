"""scripts/compose-env makes what the file asks for, for its owner only."""

import re
import shutil
import stat
import subprocess

import pytest

from streamforge_common.settings import ExchangeSettings
from tests.compose.test_platform import COMPOSE, FILE, ROOT, SERVICES

SECRET = re.compile(r"PASSWORD|TOKEN|SECRET|_KEY$")


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/compose-env", tmp_path / "scripts")
    return tmp_path


def make(checkout, *arguments):
    script = checkout / "scripts/compose-env"
    return subprocess.run([script, *arguments], capture_output=True, text=True, check=False, timeout=30)


def read(checkout):
    lines = (checkout / ".env").read_text().splitlines()
    return dict(line.partition("=")[::2] for line in lines if not line.startswith("#"))


def test_all_that_is_asked_for_is_made_and_is_kept_from_others(checkout):
    done = make(checkout)
    made, key = read(checkout), checkout / COMPOSE["secrets"]["admin-key"]["file"]

    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"\$\{(\w+):\?", FILE.read_text())) == made.keys()
    assert len({*made.values(), key.read_text()}) == len(made) + 1
    assert all(re.fullmatch("[0-9a-f]{64}", secret) for secret in (*made.values(), key.read_text()))
    modes = {name: stat.S_IMODE((checkout / name).stat().st_mode) for name in (".env", ".compose")}
    assert modes == {".env": 0o600, ".compose": 0o700}


def test_what_is_there_is_not_made_anew(checkout):
    make(checkout)
    before = read(checkout)

    assert make(checkout).returncode == 1
    assert read(checkout) == before


def test_the_simulated_exchange_takes_the_place_of_all(checkout):
    done = make(checkout, "simulated")
    made = read(checkout)

    assert done.returncode == 0, done.stderr
    assert [made["COMPOSE_PROFILES"]] == SERVICES["exchange-sim"]["profiles"]
    for name, field in ExchangeSettings.model_fields.items():
        scheme = field.default.partition("://")[0].removesuffix("s")
        assert made[name.upper()] == f"{scheme}://exchange-sim:8090"


def test_nothing_secret_is_in_the_file():
    told = [(name, value) for service in SERVICES.values() for name, value in service.get("environment", {}).items()]
    secrets = [(name, value) for name, value in told if SECRET.search(name)]

    assert len(secrets) >= 6
    assert all(re.fullmatch(r"\$\{\w+:\?.*\}", value) for _, value in secrets)
