"""References in a setting's text: `${VAR}`, `${file:/path}`, either with `:-default` behind it.

`$${` stands for the characters `${`. The default stands in for a variable that is unset or empty,
as in a shell, and for a file that is not there or empty; one that may not be read is an error all
the same. A file's last line break is not part of its value, so `echo secret > file` works.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

MAX_FILE_BYTES = 64 << 10

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}|\$\{")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


class BadReference(Exception):
    """A reference that cannot be followed: what is wrong, and what to do about it."""

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint


def has_reference(text: str) -> bool:
    """Whether the text depends on something outside the file."""
    return any(found[0] != "$${" for found in _REFERENCE.finditer(text))


def expand(text: str, environ: Mapping[str, str], directory: Path) -> str:
    """The text with its references followed; relative paths are below `directory`.

    Raises BadReference.
    """
    return _REFERENCE.sub(_follower(environ, directory), text)


def _follower(environ: Mapping[str, str], directory: Path) -> Callable[[re.Match[str]], str]:
    def follow(found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        if found[1] is None:
            raise BadReference("${ without }", "close it, or write $${ for the characters ${")
        if found[1].startswith("file:"):
            return _file(found[1].removeprefix("file:"), directory)
        return _variable(found[1], environ)

    return follow


def _variable(reference: str, environ: Mapping[str, str]) -> str:
    parts = _VARIABLE.fullmatch(reference)
    if parts is None:
        # The text may be a secret that merely contains ${, so it is not repeated.
        forms = "${VAR}, ${VAR:-default}, ${file:/path} or ${file:/path:-default}"
        raise BadReference(
            "a reference that is none of ours", f"write {forms}; $${{ is a literal ${{"
        )
    name, default = parts[1], parts[2]
    if default is not None:
        return environ.get(name) or default
    if name not in environ:
        fix = f"set it (export {name}=…), or give a default: ${{{name}:-…}}"
        raise BadReference(f"the environment variable {name} is not set", fix)
    return environ[name]


def _file(reference: str, directory: Path) -> str:
    name, has_default, default = reference.partition(":-")
    try:
        return _read(directory / name) or default
    except BadReference as error:
        if has_default and isinstance(error.__cause__, FileNotFoundError):
            return default
        raise


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadReference(f"cannot read {path}: {error.strerror}", "mend the path") from error
    if len(data) > MAX_FILE_BYTES:
        raise BadReference(f"{path} is larger than {MAX_FILE_BYTES} bytes", "is it the right file?")
    try:
        return data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise BadReference(f"{path} is not UTF-8 text", "save it as text") from error
