"""What is decoded at all: limits before decoding, linear time, and versions."""

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onebus.codec import (
    MAX_DEPTH,
    CodecError,
    check_depth,
    check_version,
    decode,
    decode_event,
    encode,
)
from onebus.event import SCHEMA_VERSION, AccountChanged
from onebus.ids import Account, AccountId, Platform

MILLION = 1_000_000
LIMIT_S = 1.0
EVENT = AccountChanged(
    account=Account(Platform("sandbox"), AccountId("demo")), time_ms=1, id="1", online=True
)

HOSTILE = {
    "open brackets": b"[" * MILLION,
    "open objects": b'{"a":' * (MILLION // 5),
    "mixed": b'[{"a":' * (MILLION // 6),
    "closed": b"[" * (MILLION // 2) + b"]" * (MILLION // 2),
    "pairs": b"[]" * (MILLION // 2),
    "wide": b"[" + b"[]," * (MILLION // 3) + b"[]]",
    "staircase": (b"[" * 63 + b"]" * 63) * (MILLION // 126),
    "deeper staircase": (b"[" * 500 + b"]" * 500) * (MILLION // 1000),
    "escaped quotes": b'"' + b'\\"' * (MILLION // 2),
    "quotes": b'"' * MILLION,
    "backslashes": b'"' + b"\\" * MILLION,
    "odd backslashes": b"[" * 65 + b'"' + b"\\" * (MILLION + 1),
    "quotes after brackets": b"[" * 65 + b'\\"' * (MILLION // 2),
    "a quote and brackets by turns": b'["' * (MILLION // 2),
    "strings of brackets": b'"[[[[",' * (MILLION // 7),
    "bad UTF-8": b'["' + b"\xff" * MILLION + b'"]',
    "closing only": b"]" * MILLION,
    "crossed": b"[{" * 250_000 + b"]}" * 250_000,
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_megabyte_is_refused_or_read_in_linear_time(body: bytes) -> None:
    started_at = time.process_time()
    with contextlib.suppress(CodecError):
        decode(body, object)
    assert time.process_time() - started_at < LIMIT_S


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_the_deepest_that_is_decoded(opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"
    decode(opening * MAX_DEPTH + b"1" + closing * MAX_DEPTH, object)
    with pytest.raises(CodecError, match="deeper than 64"):
        decode(opening * (MAX_DEPTH + 1) + b"1" + closing * (MAX_DEPTH + 1), object)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=60,
)


@given(JSON, st.integers(0, 70))
def test_depth_is_counted_outside_of_strings(value: Any, more: int) -> None:
    body = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    body = b'["]{[\\"[",' * more + body + b"]" * more
    if depth(value) + more <= MAX_DEPTH:
        check_depth(body)
    else:
        with pytest.raises(CodecError):
            check_depth(body)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nul", b'"\xff"', b'{"a":1}', b"[]", b"\x00", b"1e999999"]
)
def test_what_is_no_event_says_so(body: bytes) -> None:
    with pytest.raises(CodecError):
        decode_event(body)


def test_the_version_before_is_read_and_a_newer_one_refused_in_words() -> None:
    stored = json.loads(encode(EVENT))
    assert stored["v"] == SCHEMA_VERSION
    assert decode_event(encode(stored | {"v": SCHEMA_VERSION - 1})).account == EVENT.account
    for version in (SCHEMA_VERSION + 1, SCHEMA_VERSION - 2):
        with pytest.raises(CodecError, match=f"version {version}, but .* upgrade the older side"):
            decode_event(encode(stored | {"v": version}))
        with pytest.raises(CodecError, match="upgrade"):
            check_version(version)


def test_fields_of_a_newer_version_are_passed_over() -> None:
    assert decode_event(encode(json.loads(encode(EVENT)) | {"mood": {"x": [1]}})) == EVENT


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max((depth(one) for one in inner), default=0) + isinstance(value, dict | list)
