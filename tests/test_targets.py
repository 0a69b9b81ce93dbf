"""Whom a target is said to talk to is whose settings its service reads."""

import pytest

import arango_connector.settings
import dummy_service.settings
import loader_producer.settings
import loader_ws.settings
from streamforge_common.contract.targets import ACCESS_OF_TARGETS, Access, environment_for
from streamforge_common.settings import ArangoSettings, ExchangeSettings

SETTINGS = {
    "loader-producer": loader_producer.settings.Settings,
    "loader-ws": loader_ws.settings.Settings,
    "arango-connector": arango_connector.settings.Settings,
    "dummy-service": dummy_service.settings.Settings,
}
GROUPS = {Access.ARANGODB: ArangoSettings, Access.EXCHANGES: ExchangeSettings}


@pytest.mark.parametrize("target", ACCESS_OF_TARGETS)
def test_access_and_settings_agree(target):
    read = {access for access, group in GROUPS.items() if issubclass(SETTINGS[target], group)}

    assert read == ACCESS_OF_TARGETS[target]


def test_a_target_is_told_nothing_of_those_whom_it_does_not_talk_to():
    environment = {"PATH": "/bin", "ARANGO_PASSWORD": "secret", "ARANGO_URL": "http://db", "BYBIT_WS_URL": "ws://sim"}

    assert environment_for("loader-ws", environment) == {"PATH": "/bin", "BYBIT_WS_URL": "ws://sim"}
    assert environment_for("dummy-service", environment) == {"PATH": "/bin"}
    assert "ARANGO_PASSWORD" in environment_for("arango-connector", environment)
