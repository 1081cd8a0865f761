"""Updates that no Telegram ever sent: each is read or refused, and nothing else."""

import json
import random
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.telegram import wire
from connectors.telegram.decode import Context, decode_update
from onebus import subjects
from onebus.codec import CodecError, decode_event, encode
from onebus.ids import Account, AccountId, Platform

GOLDEN = Path(__file__).parents[3] / "golden/telegram/updates.json"
UPDATES = [case["given"] for case in json.loads(GOLDEN.read_text())]
CONTEXT = Context(Account(Platform("telegram"), AccountId("x")), wire.User(1, username="bot"))
STRANGE: list[Any] = [
    None,
    True,
    -1,
    0,
    2**62,
    1.5,
    "",
    "x",
    "\U0001f600",
    [],
    [1],
    [None],
    {},
    {"id": "x"},
    {"message_id": 1},
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to everything inside."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path, *(found for key, inner in items for found in places(inner, (*path, key)))]


def changed(update: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = deepcopy(update)
    if not path:
        return value
    inside = copy
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    return copy


def check(update: Any) -> bool:
    """Whether it is read; then its events can be stored and read again."""
    if not isinstance(update, dict):
        return False
    try:
        inbound = decode_update(update, CONTEXT, 0)
    except CodecError:
        return False
    for event in (*inbound.events, *((inbound.quoted,) if inbound.quoted else ())):
        assert decode_event(encode(event)) == event
        assert subjects.of_event(event)
    return True


@pytest.mark.parametrize("number", range(len(UPDATES)))
def test_one_thing_changed(number: int) -> None:
    update = UPDATES[number]
    assert check(update)
    dice = random.Random(number)
    for path in places(update):
        for value in dice.sample(STRANGE, 6):
            check(changed(update, path, value))


def test_lone_surrogates_do_not_come_in() -> None:
    """So the test above has none: a text that UTF-8 cannot carry is refused before."""
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(b'"\\ud83d"')
