"""The standard as numbered statements, and the mark with which a test claims to prove some.

`statements.json` has them all, each with its place in https://github.com/botuniverse/onebot-11.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, convert

HERE = Path(__file__).parent

_NUMBERS = re.compile(r"checklist ((?:\d+(?:-\d+)?(?:, )?)+)")


class Statement(Struct, frozen=True):
    n: int
    text: str
    source: str


STATEMENTS = convert(json.loads((HERE / "statements.json").read_text()), list[Statement])


def rows(pattern: str) -> list[Any]:
    """A case for each statement that has this form: its match, and its number as the claim."""
    found = ((re.fullmatch(pattern, s.text, re.DOTALL), s) for s in STATEMENTS)
    return [
        pytest.param(match, id=_name(s), marks=pytest.mark.proves(s.n))
        for match, s in found
        if match
    ]


def claims(source: str) -> Any:
    """The claim in the `source` of a golden, `checklist 12-14, 20, …`."""
    found = _NUMBERS.match(source)
    if found is None:
        return ()
    spans = [span.split("-") for span in found[1].rstrip(", ").split(", ")]
    return pytest.mark.proves(*(n for s in spans for n in range(int(s[0]), int(s[-1]) + 1)))


def _name(statement: Statement) -> str:
    words = re.findall(r"[\w.]+", statement.text.partition(": ")[0])
    return f"{statement.n} {' '.join(words)}"[:60]
