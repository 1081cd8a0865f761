"""Bytes on the bus and from outside: JSON, with limits checked before anything is decoded."""

from typing import Any, TypeVar

import msgspec

from onebus.errors import OnebusError
from onebus.event import SCHEMA_VERSION, Event

MAX_DEPTH = 64
"""Deepest nesting that is decoded; msgspec itself fails with RecursionError from 1,000."""
MAX_CONTAINERS = 100_000
"""Most arrays and objects from outside: each takes a hundred times the memory of its two bytes."""

T = TypeVar("T")

_NOT_MARKS = bytes(c for c in range(256) if c not in b'[]{}"')
_ROUND = bytes.maketrans(b"[{]}", b"(())")
_ENCODER = msgspec.json.Encoder()
_EVENT: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


class CodecError(OnebusError):
    """Bytes that are no JSON, not of the expected shape, too deep, or of another version."""


def encode(value: Any) -> bytes:
    """A Struct or plain value → compact UTF-8 JSON."""
    return _ENCODER.encode(value)


def decode(body: bytes, kind: type[T]) -> T:
    """JSON → a value of this type. Raises CodecError, which says where the fault is."""
    check_depth(body)
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CodecError(str(error)) from error


def decode_any(body: bytes) -> object:
    """JSON of any shape from outside. Raises CodecError."""
    check_containers(body)
    return decode(body, object)


def decode_event(body: bytes) -> Event:
    """A stored body → its event. Raises CodecError."""
    check_depth(body)
    try:
        event = _EVENT.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CodecError(str(error)) from error
    check_version(event.v)
    return event


def check_version(version: int) -> None:
    """Accept this schema version and the one before. Raises CodecError."""
    if version not in (SCHEMA_VERSION, SCHEMA_VERSION - 1):
        raise CodecError(
            f"schema version {version}, but this onebus reads {SCHEMA_VERSION - 1} and "
            f"{SCHEMA_VERSION}: upgrade the older side"
        )


def check_containers(body: bytes) -> None:
    """Refuse JSON with more than MAX_CONTAINERS. Raises CodecError.

    Brackets inside strings do not count, unless there are so many that telling takes long.
    """
    if len(body) <= MAX_CONTAINERS or (many := _opening(body)) <= MAX_CONTAINERS:
        return
    if many > 10 * MAX_CONTAINERS or _structure(body).count(b"(") > MAX_CONTAINERS:
        raise CodecError(f"more than {MAX_CONTAINERS} arrays and objects")


def check_depth(body: bytes) -> None:
    """Refuse JSON that nests deeper than MAX_DEPTH, in time linear in its size.

    Without its strings a JSON text is brackets and filler; each round removes the innermost pairs,
    one level. Brackets that match nothing are left to the decoder, unless they are many. Raises
    CodecError.
    """
    if len(body) < 2 * MAX_DEPTH or _opening(body) <= MAX_DEPTH:
        return
    brackets = _structure(body)
    for _ in range(MAX_DEPTH):
        shorter = brackets.replace(b"()", b"")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    if b"()" in brackets or brackets.count(b"(") > MAX_DEPTH:
        raise CodecError(f"nested deeper than {MAX_DEPTH} levels")


def _structure(body: bytes) -> bytes:
    """The brackets of a JSON text outside of its strings, all of them round.

    What is left without escapes and filler is brackets and quotes. Two quotes side by side close
    and open a string, or open and close one: without them each bracket is still in or out of one.
    """
    marks = body.replace(rb"\\", b"").replace(rb"\"", b"").translate(_ROUND, _NOT_MARKS)
    return b"".join(marks.replace(b'""', b"").split(b'"')[::2])


def _opening(body: bytes) -> int:
    return body.count(b"[") + body.count(b"{")
