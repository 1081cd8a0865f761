"""What implementations of OneBot V11 write, read leniently; pure.

The standard says integers, booleans and text. Implementations write ids as text, numbers as
floats, null for what they do not know, and leave fields out (NapCat, LLOneBot, Lagrange and
go-cqhttp each in their own way), so nothing here insists on a type.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from onebus.errors import OnebusError

Fields: TypeAlias = Mapping[str, Any]

_TRUE = frozenset({"1", "true", "yes", "on"})


class Unreadable(OnebusError):
    """What is needed to understand this is not there."""


class Payload:
    """An object as it came, that remembers what of it was read: `rest` is everything else."""

    def __init__(self, fields: object) -> None:
        self.fields: Fields = fields if isinstance(fields, dict) else {}
        self._read: set[str] = set()

    def value(self, name: str) -> Any:
        """As it came; None when there is none."""
        self._read.add(name)
        return self.fields.get(name)

    def text(self, name: str, default: str = "") -> str:
        """Text; a number is its digits."""
        return text_of(self.value(name), default)

    def word(self, name: str, *choices: str) -> str:
        """One of these words. Raises Unreadable."""
        found = self.text(name)
        if found not in choices:
            raise Unreadable(f"{name} is none of {', '.join(choices)}")
        return found

    def number(self, name: str, default: int = 0) -> int:
        """A whole number."""
        return number_of(self.value(name), default)

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false in any of the usual spellings."""
        return flag_of(self.value(name), default)

    def optional_id(self, name: str) -> str:
        """An id; empty for none: absent, null, empty or 0."""
        found = id_of(self.value(name))
        return "" if found == "0" else found

    def id(self, name: str) -> str:
        """An id. Raises Unreadable without one."""
        if found := self.optional_id(name):
            return found
        raise Unreadable(f"{name} is missing")

    def inside(self, name: str) -> "Payload":
        """An object within this one; an empty one if there is none."""
        return Payload(self.value(name))

    def rest(self, *ignored: str) -> dict[str, Any]:
        """What was not read, without nulls."""
        known = self._read.union(ignored)
        return {k: v for k, v in self.fields.items() if k not in known and v is not None}


def id_of(value: object) -> str:
    """An id as text: the number's digits, whether it came as a number or not."""
    match value:
        case bool():
            return ""
        case int():
            return str(value)
        case float() if value.is_integer():
            return str(int(value))
        case str():
            return value.strip()
    return ""


def text_of(value: object, default: str = "") -> str:
    """Text; a number is its digits, an object nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default
    return id_of(value) or str(value)


def number_of(value: object, default: int = 0) -> int:
    """A whole number, also as text or with a fraction, which is cut off."""
    try:
        return int(value) if isinstance(value, int | float | str) else default
    except (ValueError, OverflowError):  # no number, NaN, infinity
        return default


def flag_of(value: object, default: bool = False) -> bool:
    """True or false in any of the usual spellings."""
    if isinstance(value, bool | int):
        return bool(value)
    return value.strip().lower() in _TRUE if isinstance(value, str) and value.strip() else default
