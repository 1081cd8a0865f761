"""Parameters of actions as bots write them: numbers as text, booleans as words, ids in any form.

Each reader takes the parameters and a name, and raises BadParams that names the parameter, what was
given and what is expected. An absent, null or empty parameter has its default; `REQUIRED` has none.
Source: https://github.com/botuniverse/onebot-11/blob/master/communication/http.md ("数据类型").
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from frontends.onebot_v11.from_onebot import FALSE, TRUE
from frontends.onebot_v11.message import as_text
from onebus.codec import CodecError, decode
from onebus.errors import BadParams

REQUIRED: Final = None
"""The default of a parameter that must be given."""
KEY = "idempotency_key"
"""The parameter that every action takes: a call with the same is not done twice."""

Params = Mapping[str, Any]
T = TypeVar("T")

_EXACT_FLOAT = 2.0**53
_INT64 = 1 << 63
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_KEY = re.compile(r"[!-~]{1,128}")
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}")


def read_bool(params: Params, name: str, default: bool | None = REQUIRED) -> bool:
    """true/false, 1/0, yes/no, on/off; as text in any case."""
    value = params.get(name)
    if isinstance(value, bool):
        return value
    if _absent(value):
        return _default(name, default)
    word = as_text(value).strip().lower()
    if isinstance(value, str | int | float) and word in TRUE | FALSE:
        return word in TRUE
    raise _wrong(name, value, "true or false")


def read_int(
    params: Params, name: str, default: int | None = REQUIRED, *, minimum: int | None = None
) -> int:
    """An integer of 64 bits, as a number or as text; `1.0` is one, `1.5` and `true` are not."""
    value = params.get(name)
    if _absent(value):
        return _default(name, default)
    number = _integer(value)
    if number is None:
        raise _wrong(name, value, "an integer")
    if minimum is not None and number < minimum:
        raise _wrong(name, value, f"an integer from {minimum}")
    return number


def read_text(params: Params, name: str, default: str | None = REQUIRED) -> str:
    """Text; a number is taken as its digits. Empty text is text where there is a default."""
    value = params.get(name)
    if value == "" and default is not None:
        return ""
    if _absent(value):
        return _default(name, default)
    if isinstance(value, str | int | float):
        return as_text(value)
    raise _wrong(name, value, "text")


def read_key(params: Params) -> str:
    """The idempotency key; empty when there is none."""
    key = read_text(params, KEY, "")
    if key and not _KEY.fullmatch(key):
        raise _wrong(KEY, key, "1 to 128 printable ASCII characters without spaces")
    return key


def read_choice(params: Params, name: str, choices: Sequence[str]) -> str:
    """One of these words."""
    word = read_text(params, name).strip()
    if word not in choices:
        raise _wrong(name, word, f"one of {', '.join(choices)}")
    return word


def read_object(params: Params, name: str) -> dict[str, Any] | None:
    """An object, or its JSON text, as a query or form has it; None when there is none."""
    value = params.get(name)
    if _absent(value):
        return None
    if isinstance(value, str):
        try:
            value = decode(value.encode("utf-8", "surrogatepass"), object)
        except CodecError as error:
            raise BadParams(f"`{name}` must be an object, and is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise _wrong(name, value, "an object")
    return value


def given(params: Params, *names: str) -> str:
    """The first of these names that has a value, else the first: for those that have two names."""
    return next((name for name in names if not _absent(params.get(name))), names[0])


def read_id(params: Params, *names: str) -> int | str:
    """The id of a user, group or message under the first of these names that is given.

    An int when it is written as one, else text: the platform's own id. Raises BadParams.
    """
    found = read_optional_id(params, *names)
    if found is None:
        return _default(names[0], REQUIRED)
    return found


def read_optional_id(params: Params, *names: str) -> int | str | None:
    """`read_id`, or None when there is none: absent, null, empty or 0."""
    for name in names:
        value = params.get(name)
        if _absent(value):
            continue
        found = _id(name, value)
        if found != 0:
            return found
    return None


def _id(name: str, value: object) -> int | str:
    """`007` and `１２` are ids of a platform, not the numbers 7 and 12."""
    if isinstance(value, str):
        text = value.strip()
        return int(text) if _NUMBER.fullmatch(text) and abs(int(text)) < _INT64 else text
    number = _integer(value)
    if number is None:
        raise _wrong(name, value, "an integer, the same as text, or the platform's own id")
    return number


def _integer(value: object) -> int | None:
    """Never by way of a float: that changes what is beyond 2^53."""
    match value:
        case bool():
            return None
        case int():
            number = value
        case float() if value.is_integer() and abs(value) < _EXACT_FLOAT:
            number = int(value)
        case str() if _INTEGER.fullmatch(value.strip()):
            number = int(value)
        case _:
            return None
    return number if -_INT64 <= number < _INT64 else None


def _absent(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _default(name: str, default: T | None) -> T:
    if default is None:
        raise BadParams(f"`{name}` is missing")
    return default


def _wrong(name: str, value: object, expected: str) -> BadParams:
    shown = as_text(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "…"
    return BadParams(f"`{name}` is {shown}, but must be {expected}")
