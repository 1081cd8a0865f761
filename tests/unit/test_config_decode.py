"""Decoding a block, where the whole-file tests do not reach."""

from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta, Struct

from onebus.config_decode import Decoder
from onebus.yaml_source import Block, parse


class Locked(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    pin_key: int = 0
    pass_token: Annotated[str, Meta(min_length=12)] = ""


def block(text: str) -> Block:
    tree, problems = parse(text.encode(), "f")
    assert not problems
    return tree


def decoder() -> Decoder:
    return Decoder("f", {"PIN": "hunter22"}, Path())


def test_defaults_need_not_hold_what_is_required() -> None:
    partial = decoder()
    assert partial.values(block("pin_key: 1"), Locked, partial=True) == {"pin_key": 1}
    assert not partial.problems
    whole = decoder()
    whole.values(block("pin_key: 1"), Locked)
    assert [str(problem) for problem in whole.problems] == [
        "f:1: name: required, and not given; add it"
    ]


@pytest.mark.parametrize("value", ["hunter22", "'hunter22'", "${PIN}"])
def test_a_wrong_secret_is_not_repeated(value: str) -> None:
    gathered = decoder()
    text = f"name: x\npin_key: {value}\npass_token: {value}"
    assert gathered.config(block(text), Locked, exposed=False) is None
    assert [str(problem) for problem in gathered.problems] == [
        "f:2: pin_key: expected a whole number, got text",
        "f:3: pass_token: expected text of length >= 12",
    ]


def test_a_wrong_value_from_outside_the_file_is_not_repeated() -> None:
    gathered = decoder()
    gathered.config(block("name: ['${PIN}', [x]]"), Locked, exposed=False)
    gathered.config(block("name: x\npin_key: 1\nname2: ${PIN}"), Locked, exposed=False)
    assert "hunter22" not in "".join(map(str, gathered.problems))
    assert len(gathered.problems) == 2
