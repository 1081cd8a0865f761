"""Bytes on the bus and from outside: JSON, with limits checked before anything is decoded."""

import re
from typing import Any, TypeVar

import msgspec

from onebus.errors import OnebusError
from onebus.event import SCHEMA_VERSION, Event

MAX_DEPTH = 64
"""Deepest nesting that is decoded; msgspec itself fails with RecursionError from 1,000."""

T = TypeVar("T")

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(c for c in range(256) if c not in b"[]{}")
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


def check_depth(body: bytes) -> None:
    """Refuse JSON that nests deeper than MAX_DEPTH, in time linear in its size.

    Without its strings a JSON text is brackets and filler; each round removes the innermost pairs.
    Raises CodecError.
    """
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    brackets = _STRING.sub(b"", body).translate(None, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        shorter = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    if len(brackets) > MAX_DEPTH:
        raise CodecError(f"nested deeper than {MAX_DEPTH} levels")
