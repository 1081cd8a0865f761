"""What the answer to a post means."""

from typing import Any

import pytest

from frontends.onebot_v11.post import MAX_ANSWER_BYTES, operation, refused
from onebus.codec import CodecError


@pytest.mark.parametrize(
    ("body", "meant"),
    [(b"", None), (b" \r\n", None), (b"{}", {}), (b'{"reply": "hi"}', {"reply": "hi"})],
)
def test_an_operation(body: bytes, meant: dict[str, Any] | None) -> None:
    assert operation(body) == meant


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"ok", "malformed|invalid"),
        (b"null", "no JSON object"),
        (b"[]", "no JSON object"),
        (b'{"reply": ' * 1_000, "deep|malformed|truncated"),
        (b"{}" + b" " * MAX_ANSWER_BYTES, "larger than 1 MiB"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_operation(body: bytes, why: str) -> None:
    with pytest.raises(CodecError, match=why):
        operation(body)


@pytest.mark.parametrize(
    ("status", "fix"),
    [(302, "redirects"), (401, "secret"), (403, "secret"), (404, "address"), (500, "log")],
)
def test_a_refusal_says_what_most_likely_helps(status: int, fix: str) -> None:
    trouble = refused(status)
    assert trouble.cause == f"the bot answered HTTP {status}"
    assert fix in trouble.fix
