import pytest

from streamforge_local.home import PlatformInfo
from streamforge_local.settings import Settings


@pytest.mark.parametrize(
    ("given", "passed_on"),
    [
        ({}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "intranet"}, "intranet,127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "ignored", "no_proxy": "intranet"}, "intranet,127.0.0.1,localhost,::1"),
        ({"no_proxy": "*"}, "*"),
    ],
)
def test_no_process_of_the_platform_asks_this_machine_by_a_proxy(monkeypatch, given, passed_on):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    inherited = Settings.from_environment().inherited

    assert (inherited["NO_PROXY"], inherited["no_proxy"]) == (passed_on, passed_on)


def test_an_exchange_of_ones_own_is_known_and_is_not_taken_for_the_simulated_one(monkeypatch):
    monkeypatch.setenv("BINANCE_SPOT_REST_URL", "http://mine")
    monkeypatch.setenv("BYBIT_REST_URL", "")

    overrides = Settings.from_environment().exchange_overrides
    names = ("queue_manager_url", "kafka_bootstrap_servers", "arango_url", "arango_database", "arango_username")
    info = PlatformInfo(
        **dict.fromkeys(names, ""),
        arango_password="",
        exchange="simulated",
        exchange_sim_url="http://simulated",
        exchange_overrides=overrides,
    )

    assert overrides == {"BINANCE_SPOT_REST_URL": "http://mine"}
    assert (info.spot_override, info.asked_sim_url) == ("http://mine", None)
