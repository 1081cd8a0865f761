"""What can be wrong in a configuration, said so that a person can mend it.

A problem names file, line, key, what is wrong and what to do. It never holds the value of a
secret: keys that look like one are known by name (`is_secret`).
"""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Literal

from msgspec import Struct

from onebus.errors import Misconfigured

_SECRET = re.compile(r"token|secret|password|key", re.IGNORECASE)


class Problem(Struct, frozen=True):
    """One thing to mend; `line` is 0 when no line is to blame. A warning does not stop a start."""

    file: str
    line: int
    key: str
    text: str
    hint: str = ""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        parts = [place, "warning" if self.severity == "warning" else "", self.key, self.text]
        said = ": ".join(part for part in parts if part)
        return f"{said}; {self.hint}" if self.hint else said


class ConfigError(Misconfigured):
    """The configuration cannot be used; `problems` holds all that was found, by line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = in_order(problems)
        super().__init__("\n".join(map(str, self.problems)))


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Each problem once, by line. A shared block is found wrong once for each that uses it."""
    return sorted(dict.fromkeys(problems), key=lambda problem: problem.line)


def raise_errors(problems: Iterable[Problem]) -> None:
    """Raise ConfigError when one of these is more than a warning."""
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise ConfigError(errors)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was most likely meant."""
    close = get_close_matches(word.lower(), sorted(known), n=1, cutoff=0.6)
    return close[0] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint: the nearest known word, or what there is when nothing comes near."""
    names = sorted(known)
    close = nearest(word, names)
    if close:
        return f"did you mean {close}?"
    return f"known: {', '.join(names)}" if names else ""


def is_secret(key: str) -> bool:
    """Whether a key's value must not be shown: its last part speaks of a token, secret or key."""
    return bool(_SECRET.search(key.rpartition(".")[2]))
