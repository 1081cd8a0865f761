"""The key that signs addresses of files, where nobody configured one: drawn once, and kept."""

import os
import secrets
from pathlib import Path

from onebus.errors import Misconfigured

NAME = "secret_key"
MIN_LENGTH = 16


def kept_key(data_dir: Path) -> str:
    """The key below `data_dir`, drawn when there is none. Raises Misconfigured."""
    path = data_dir / NAME
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)  # the log will be here, too
        _draw(path)
        key = path.read_text().strip()
    except OSError as error:
        raise Misconfigured(
            f"data cannot be kept in {data_dir}: {error.strerror}; name another with --data-dir,"
            " or set secret_key"
        ) from error
    if len(key) < MIN_LENGTH:
        raise Misconfigured(f"{path} is too short to be a key: delete it, and it is drawn anew")
    return key


def _draw(path: Path) -> None:
    """Written beside it first, so that a crash leaves no half of it; the first one stays."""
    if path.exists():
        return
    draft = path.with_name(f".{NAME}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
