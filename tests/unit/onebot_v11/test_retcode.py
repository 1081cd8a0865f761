"""Answers: every error has a number, and status and number always agree."""

import json
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontends.onebot_v11.retcode import (
    RETCODES,
    UnknownAction,
    accepted,
    echo_of,
    encode_answer,
    failed,
    ok,
    retcode_of,
)
from onebus import errors
from onebus.errors import ActionError, BusError, OnebusError


def below(kind: type[OnebusError]) -> Iterator[type[OnebusError]]:
    for child in kind.__subclasses__():
        yield child
        yield from below(child)


def test_every_error_has_a_retcode_of_its_own() -> None:
    ours = {*below(ActionError), *below(BusError)}
    named = {kind for kind in ours if kind.__module__ == errors.__name__}
    assert named
    assert named | {UnknownAction} == set(RETCODES)
    codes = [code for code, _ in RETCODES.values()]
    assert len(set(codes)) == len(codes)


def test_only_the_standard_uses_14xx() -> None:
    standard = {errors.BadParams: 1400, UnknownAction: 1404}
    for kind, (code, wording) in RETCODES.items():
        assert code == standard.get(kind, code)
        assert kind in standard or code > 10_000
        assert wording


def test_an_error_without_its_own_has_that_of_its_kind() -> None:
    class Away(errors.AccountOffline):
        pass

    assert retcode_of(Away("x")) == RETCODES[errors.AccountOffline]
    assert retcode_of(errors.Misconfigured("x")) == RETCODES[errors.InternalError]


@pytest.mark.parametrize("kind", RETCODES, ids=lambda kind: kind.__name__)
def test_status_and_retcode_agree(kind: type[OnebusError]) -> None:
    answer = failed(kind("the text"))
    assert answer.status == "failed"
    assert answer.retcode not in (0, 1)
    assert answer.data is None
    assert answer.message
    assert answer.wording


def test_the_text_of_our_own_faults_stays_here() -> None:
    body = encode_answer(failed(errors.InternalError("/home/x/secret")))
    assert b"secret" not in body


def test_done_and_accepted() -> None:
    """Source: api/README.md, "异步调用"; communication/http.md, "响应"."""
    assert json.loads(encode_answer(ok({"message_id": 5}))) == {
        "status": "ok",
        "retcode": 0,
        "data": {"message_id": 5},
        "message": "",
        "wording": "",
    }
    assert json.loads(encode_answer(ok(None, note="`reply` was left out")))["message"]
    answer = accepted()
    assert (answer.status, answer.retcode, answer.data) == ("async", 1, None)


@pytest.mark.parametrize(
    "echo",
    [
        b'{"seq" :  1}',
        b'"x"',
        b'""',
        b"null",
        b"-1",
        b"1.0",
        b"1e400",
        b"12345678901234567890123",
        b'[1, 2,{"a":[]}]',
        b'"\\u00e9\\/"',
        b"false",
    ],
)
def test_an_echo_is_repeated_to_the_byte(echo: bytes) -> None:
    frame = b'{"action":"x","echo": %s ,"params":{"echo":0}}' % echo
    for answer in (ok(None, echo_of(frame)), failed(UnknownAction("x"), echo_of(frame))):
        assert encode_answer(answer).endswith(b',"echo":%s}' % echo)


def test_no_echo_in_no_echo_out() -> None:
    assert b"echo" not in encode_answer(ok(None, echo_of(b'{"action":"x"}')))


@pytest.mark.parametrize("frame", [b"", b"[]", b"1", b'{"echo":}', b'{"echo":[1}', b"null"])
def test_what_is_no_request_has_no_echo(frame: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        echo_of(frame)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_any_echo(value: object) -> None:
    frame = json.dumps({"echo": value}).encode()
    assert json.loads(encode_answer(ok(None, echo_of(frame))))["echo"] == value
