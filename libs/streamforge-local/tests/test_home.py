from pathlib import Path

import pytest

from streamforge_local.errors import PlatformError
from streamforge_local.home import Home


def test_secrets_are_made_once_and_differ_between_homes(tmp_path: Path) -> None:
    with Home.occupied(tmp_path / "a") as a, Home.occupied(tmp_path / "b") as b:
        assert a.secrets() == a.secrets()
        assert a.secrets().arango_password != b.secrets().arango_password


def test_damaged_secrets_are_named(tmp_path: Path) -> None:
    with Home.occupied(tmp_path) as home:
        (tmp_path / "secrets.json").write_text("{")
        with pytest.raises(PlatformError, match=r"secrets\.json is damaged"):
            home.secrets()


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PlatformError, match="choose another --home"), Home.occupied(tmp_path / "file" / "home"):
        pass


def test_the_announcement_of_a_killed_platform_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "platform.json").write_text("{}")
    with Home.occupied(tmp_path):
        assert not (tmp_path / "platform.json").exists()
