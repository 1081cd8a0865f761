"""Passwords for the services at NATS, drawn where there is none: one directory for each service.

    DIR/SERVICE/user       its name at NATS
    DIR/SERVICE/password   256 random bits
    DIR/server/auth.conf   all of them, with what each may do: for nats-server alone

A file appears whole or not at all, and what is there is kept: run again, also by several at once,
it adds what is new.
"""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from onebus.errors import Misconfigured
from onebus.permissions import accounts, is_service, password_variable, permissions

SERVER = "server"
AUTH = "auth.conf"


class Owner(Struct, frozen=True):
    """To whom the files are given, who alone may read them then, and his group."""

    uid: int
    gid: int


def draw(
    directory: Path,
    services: Sequence[str],
    prefix: str,
    say: Callable[[str], None],
    owner: Owner | None = None,
) -> None:
    """Draw what these services lack, and write the server's file for them and those of before.

    Raises Misconfigured when there is no such service, or no writing there.
    """
    for service in services:
        permissions(service, prefix)  # before anything is written
    try:
        for service in services:
            drawn = _service(directory / service, service, owner)
            say(f"{service}: {'drawn' if drawn else 'kept'}")
        text = _auth(directory, services, prefix)
        changed = _replace(_folder(directory / SERVER, owner) / AUTH, text, owner)
    except OSError as error:
        what = error.filename or directory
        raise Misconfigured(
            f"credentials cannot be kept in {directory}: {what}: {error.strerror}"
        ) from error
    said = "written; restart nats-server" if changed else "as it was"
    say(f"{directory / SERVER / AUTH}: {said}")


def _service(folder: Path, service: str, owner: Owner | None) -> bool:
    """Whether the password is a new one."""
    _folder(folder, owner)
    _replace(folder / "user", service, owner)
    return _create(folder / "password", secrets.token_urlsafe(32), owner)


def _auth(directory: Path, services: Sequence[str], prefix: str) -> str:
    """The server's file: passwords as variables, then who may do what with them."""
    before = (path.parent.name for path in directory.glob("*/password"))
    others = sorted({name for name in before if is_service(name)} - set(services))
    names = [*services, *others]
    passwords = "".join(
        f'{password_variable(name)}: "{(directory / name / "password").read_text()}"\n'
        for name in names
    )
    return f"# Written by `onebus bus credentials`.\n{passwords}{accounts(names, prefix)}"


def _folder(path: Path, owner: Owner | None) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o750 if owner else 0o700)
    _give(path, owner)
    return path


def _replace(path: Path, text: str, owner: Owner | None) -> bool:
    """Whether that changed anything."""
    if path.exists() and path.read_text() == text:
        _give(path, owner)
        return False
    with _written(path, text, owner) as written:
        written.replace(path)
    return True


def _create(path: Path, text: str, owner: Owner | None) -> bool:
    """Whether it was not there before; an empty file is what a full disk left behind."""
    if path.exists() and not path.read_text():
        path.unlink()
    with _written(path, text, owner) as written:
        try:
            path.hardlink_to(written)
        except FileExistsError:
            _give(path, owner)
            return False
    return True


@contextlib.contextmanager
def _written(path: Path, text: str, owner: Owner | None) -> Iterator[Path]:
    """A file of this content beside its place, on the disk; removed unless it was moved."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    written = Path(name)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        written.chmod(0o440 if owner else 0o400)
        _give(written, owner)
        yield written
    finally:
        written.unlink(missing_ok=True)


def _give(path: Path, owner: Owner | None) -> None:
    if owner:
        os.chown(path, owner.uid, owner.gid)
