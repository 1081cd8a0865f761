"""How deep and how many: what is counted in JSON before anything of it is decoded. S9."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onebus.codec import (
    MAX_CONTAINERS,
    MAX_DEPTH,
    CodecError,
    _structure,
    check_containers,
    decode_any,
)

TRICKY = st.text(st.sampled_from('[]{}"\\a,:\n/é'))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TRICKY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TRICKY, inner, max_size=4),
    max_leaves=30,
)


def containers(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(containers, value.values()))
    return 1 + sum(map(containers, value)) if isinstance(value, list) else 0


@given(VALUES, st.booleans())
def test_only_brackets_outside_of_strings_are_seen(value: Any, ascii_only: bool) -> None:
    seen = _structure(json.dumps(value, ensure_ascii=ascii_only).encode())
    assert seen.count(b"(") == seen.count(b")") == containers(value)
    assert not seen.strip(b"()")


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        (rb'["\\",[]]', b"(())"),
        (rb'["\\\"[",[]]', b"(())"),
        (rb'["[","]",{}]', b"(())"),
        (b'["", "",[""]]', b"(())"),
        (b'["unfinished [', b"("),
        (rb'["\"', b"("),
    ],
)
def test_strings_end_where_they_end(body: bytes, seen: bytes) -> None:
    assert _structure(body) == seen


def test_as_many_as_are_allowed() -> None:
    some = b",".join([b"{}"] * (MAX_CONTAINERS - 1))
    assert len(decode_any(b"[" + some + b"]")) == MAX_CONTAINERS - 1  # type: ignore[arg-type]
    with pytest.raises(CodecError, match=f"more than {MAX_CONTAINERS} arrays and objects"):
        decode_any(b"[" + some + b",{}]")


def test_brackets_in_a_text_are_no_containers() -> None:
    text = json.dumps({"text": "[{" * MAX_CONTAINERS}).encode()
    assert decode_any(text) == {"text": "[{" * MAX_CONTAINERS}


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 8_000_000,
        b'{"a":' * 2_000_000,
        b'["' + b'[","' * 4_000_000,
        b'"\\"' * 5_000_000,
        b"\\" * 16_000_000,
        b'"' * 16_000_000,
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) * 100_000,
    ],
    ids=["arrays", "objects", "in strings", "escapes", "backslashes", "quotes", "pyramids"],
)
def test_counting_is_quick_whatever_it_is_given(body: bytes) -> None:
    began = time.process_time()
    with pytest.raises(CodecError):
        decode_any(body)
    assert time.process_time() - began < 2


def test_a_few_are_not_even_counted() -> None:
    check_containers(b"[" * MAX_CONTAINERS)
