import socket
import subprocess
import sys

import pytest

from streamforge_local.ports import LOOPBACK, PortClaims, accepts_connections, is_free


@pytest.fixture
def free_port() -> int:
    with PortClaims() as claims:
        return claims.claim()


def test_the_usual_port_is_taken_when_it_is_free(free_port: int) -> None:
    with PortClaims() as claims:
        assert claims.claim(free_port) == free_port


def test_another_port_is_taken_when_somebody_listens_on_the_usual_one(free_port: int) -> None:
    with socket.create_server((LOOPBACK, free_port)), PortClaims() as claims:
        assert not is_free(free_port)
        assert claims.claim(free_port) != free_port


def test_a_port_that_another_platform_has_claimed_is_not_taken_though_nobody_listens_yet(free_port: int) -> None:
    with PortClaims() as first, PortClaims() as second:
        assert first.claim(free_port) == free_port
        assert is_free(free_port)
        assert second.claim(free_port) != free_port


def test_claims_end_with_the_process(free_port: int) -> None:
    claim = f"from streamforge_local.ports import PortClaims; PortClaims().claim({free_port})"
    subprocess.run([sys.executable, "-c", claim], check=True)
    with PortClaims() as claims:
        assert claims.claim(free_port) == free_port


def test_replacements_are_below_the_range_of_outgoing_connections() -> None:
    with PortClaims() as claims:
        ports = [claims.claim() for _ in range(20)]
    assert len(set(ports)) == 20
    assert max(ports) < 32_768


def test_who_listens_accepts_connections(free_port: int) -> None:
    assert not accepts_connections(LOOPBACK, free_port)
    with socket.create_server((LOOPBACK, free_port)):
        assert accepts_connections(LOOPBACK, free_port)
