"""Credentials: drawn once, whole or not at all, and for nobody else to read."""

import os
import stat
import threading
from pathlib import Path

import pytest

from onebus.cli import main
from onebus.credentials import Owner, draw
from onebus.errors import Misconfigured
from onebus.permissions import accounts, password_variable, services

NAMES = ("setup", "frontend-ws", "connector-sandbox")


def passwords(folder: Path) -> dict[str, str]:
    return {path.parent.name: path.read_text() for path in folder.glob("*/password")}


def test_each_service_has_a_directory_and_the_server_a_file(tmp_path: Path) -> None:
    said: list[str] = []
    draw(tmp_path, NAMES, "other", said.append)
    drawn = passwords(tmp_path)
    assert drawn.keys() == set(NAMES)
    assert len(set(drawn.values())) == len(NAMES)
    assert all(len(password) >= 43 for password in drawn.values())
    for name in NAMES:
        assert (tmp_path / name / "user").read_text() == name
        assert {path.name for path in (tmp_path / name).iterdir()} == {"user", "password"}
    text = (tmp_path / "server/auth.conf").read_text()
    assert text.endswith(accounts(NAMES, "other"))
    for name, password in drawn.items():
        assert f'{password_variable(name)}: "{password}"\n' in text
        assert not any(password in line for line in said)


@pytest.mark.parametrize(
    ("owner", "file", "folder"),
    [(None, 0o400, 0o700), (Owner(os.getuid(), os.getgid()), 0o440, 0o750)],
)
def test_nobody_else_can_read_them(
    tmp_path: Path, owner: Owner | None, file: int, folder: int
) -> None:
    before = os.umask(0)
    try:
        draw(tmp_path / "new", NAMES, "onebus", lambda _: None, owner)
    finally:
        os.umask(before)
    found = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").glob("*/*")}
    assert found == {file}
    folders = (tmp_path / "new" / name for name in (*NAMES, "server"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {folder}


def test_they_are_given_to_who_runs_the_services(tmp_path: Path) -> None:
    """Only root gives files away; anybody else can run this with his own number."""
    owner = Owner(10001, 10002) if os.getuid() == 0 else Owner(os.getuid(), os.getgid())
    draw(tmp_path, NAMES, "onebus", lambda _: None)
    draw(tmp_path, NAMES, "onebus", lambda _: None, owner)
    for path in (*tmp_path.glob("*/*"), *tmp_path.glob("*")):
        assert (path.stat().st_uid, path.stat().st_gid) == (owner.uid, owner.gid), path


def test_run_again_it_keeps_what_is_there_and_adds_what_is_new(tmp_path: Path) -> None:
    draw(tmp_path, NAMES, "onebus", lambda _: None)
    before, auth = passwords(tmp_path), tmp_path / "server/auth.conf"
    written = auth.stat()
    said: list[str] = []
    draw(tmp_path, NAMES, "onebus", said.append)
    assert passwords(tmp_path) == before
    assert auth.stat() == written
    assert said[:3] == [f"{name}: kept" for name in NAMES]
    (tmp_path / "lost+found").mkdir()
    draw(tmp_path, ["connector-telegram"], "onebus", said.append)
    after = passwords(tmp_path)
    assert after.items() > before.items()
    for password in after.values():
        assert password in auth.read_text()


def test_a_file_that_a_full_disk_left_empty_is_drawn_anew(tmp_path: Path) -> None:
    draw(tmp_path, NAMES, "onebus", lambda _: None)
    password = tmp_path / "setup/password"
    password.unlink()
    password.touch()
    draw(tmp_path, NAMES, "onebus", lambda _: None)
    assert len(password.read_text()) >= 43


def test_several_at_once_agree(tmp_path: Path) -> None:
    start = threading.Barrier(8)
    failed: list[BaseException] = []

    def run() -> None:
        start.wait()
        try:
            draw(tmp_path, services(["sandbox"]), "onebus", lambda _: None)
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    text = (tmp_path / "server/auth.conf").read_text()
    assert all(f'"{password}"' in text for password in passwords(tmp_path).values())
    assert not list(tmp_path.glob("*/.*"))


def test_an_unknown_service_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no service 'frontend-telnet'"):
        draw(tmp_path, ["setup", "frontend-telnet"], "onebus", lambda _: None)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match=r"credentials cannot be kept in .*Not a directory"):
        draw(tmp_path / "file", NAMES, "onebus", lambda _: None)


def test_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The configuration may point at files that are about to be drawn."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(
        "bus: {prefix: mine, user: '${file:drawn/setup/user}', password: '${SURELY_NOT_SET}'}\n"
    )
    assert main(["bus", "setup", "--auth", "frontend-ws", "operator"]) == 0
    assert capsys.readouterr().out == accounts(["frontend-ws", "operator"], "mine")
    assert main(["bus", "credentials", "drawn"]) == 0
    out = capsys.readouterr().out
    assert "frontend-http-post: drawn" in out
    assert not any(password in out for password in passwords(Path("drawn")).values())
    assert '"mine.actions.sandbox.>"' in Path("drawn/server/auth.conf").read_text()
    assert main(["bus", "setup", "--auth", "frontend-xs"]) == 1
    assert "did you mean" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["bus", "credentials", "drawn", "--owner", "me"])
    assert "expected UID:GID" in capsys.readouterr().err
