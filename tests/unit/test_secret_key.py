"""The key that `up` draws for itself."""

import stat
from pathlib import Path

import pytest

from onebus.errors import Misconfigured
from onebus.secret_key import kept_key


def test_it_is_drawn_once_and_for_nobody_else_to_read(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    key = kept_key(folder)
    assert len(key) == 64
    assert kept_key(folder) == key
    assert stat.S_IMODE((folder / "secret_key").stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == ["secret_key"]
    assert kept_key(tmp_path / "other") != key


def test_one_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("short")
    with pytest.raises(Misconfigured, match="too short"):
        kept_key(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="set secret_key"):
        kept_key(tmp_path / "file")


def test_a_directory_that_it_makes_is_the_owners_alone(tmp_path: Path) -> None:
    kept_key(tmp_path / "data")
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
