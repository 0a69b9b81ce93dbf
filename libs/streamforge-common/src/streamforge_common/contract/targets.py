"""The targets that are built, and whom the jobs of each talk to beside the broker.

A job is told the addresses and credentials of those whom it talks to, and of nobody else: whoever breaks into a loader,
which reads what strangers send, finds no password of the database.
"""

from collections.abc import Mapping
from enum import StrEnum

from streamforge_common.settings import ArangoSettings, ExchangeSettings, SettingsGroup


class Access(StrEnum):
    """Whom not every job talks to."""

    ARANGODB = "arangodb"
    EXCHANGES = "exchanges"


ACCESS_OF_TARGETS: Mapping[str, frozenset[Access]] = {
    "loader-producer": frozenset({Access.EXCHANGES}),
    "loader-ws": frozenset({Access.EXCHANGES}),
    "arango-connector": frozenset({Access.ARANGODB}),
    "dummy-service": frozenset(),
}


def _variables(group: type[SettingsGroup]) -> frozenset[str]:
    return frozenset(name.upper() for name in group.model_fields)


_VARIABLES = {Access.ARANGODB: _variables(ArangoSettings), Access.EXCHANGES: _variables(ExchangeSettings)}


def environment_for(target: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out the variables of those whom a target does not talk to."""
    access = ACCESS_OF_TARGETS[target]
    withheld = {name for whom, names in _VARIABLES.items() if whom not in access for name in names}
    return {name: value for name, value in environment.items() if name not in withheld}
