"""Log lines: inert, one each, without secrets. Controls S3, S17 and S18."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from onebus import logging as ours
from onebus.logging import configure, inert, keep_secret, keep_secrets_of

Logs = Callable[[], logging.Logger]

TOKEN = "p@ss/wörd+1 &x"


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret of another test."""
    monkeypatch.setattr(ours, "_secrets", [])


@pytest.fixture
def logs() -> Iterator[Logs]:
    """Makes a logger that writes as a process does, to standard error as it is then."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def configured() -> logging.Logger:
        configure("debug")
        return logging.getLogger("a.service")

    yield configured
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x\n2026-01-01 [ERROR] fake", r"x\n2026-01-01 [ERROR] fake"),
        ("a\r\nb", r"a\r\nb"),
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202eexe.\u2066\u200f\u061c", r"\u202eexe.\u2066\u200f\u061c"),
        ("\u2028\u2029\x85\x0b\x0c\x1c", r"\u2028\u2029\x85\x0b\x0c\x1c"),
        ("a\0b\x7f", r"a\x00b\x7f"),
        ("Zoë 说 🙂\t.", "Zoë 说 🙂\t."),
    ],
)
def test_what_acts_on_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert inert(text) == shown


@given(st.text())
def test_any_text_is_one_printable_line(text: str) -> None:
    line = inert(text)
    assert len(line.splitlines()) <= 1
    assert all(ord(char) >= 32 or char == "\t" for char in line)


def test_a_record_is_one_line(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    logs().info("online as %s", "x\n2026-01-01 [ERROR] fake\x1b[2J")
    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert written.endswith("info    online as x\\n2026-01-01 [ERROR] fake\\x1b[2J\n")


def test_a_traceback_is_indented_and_inert(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    keep_secret(TOKEN)
    try:
        raise ValueError(f"x\n2026-01-01 [ERROR] fake \x1b[2J {TOKEN}")
    except ValueError:
        logs().exception("fault in %s", "work")
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.endswith("error   fault in work")
    assert rest
    assert all(line.startswith("    ") for line in rest)
    assert TOKEN not in "\n".join(rest)
    assert "\x1b" not in "\n".join(rest)


def test_below_error_there_is_no_traceback(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    logs().debug("detail", exc_info=ValueError("x"))
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "form",
    [
        TOKEN,
        "p%40ss/w%C3%B6rd%2B1%20%26x",
        "p%40ss%2Fw%C3%B6rd%2B1%20%26x",
        "p%40ss%2Fw%C3%B6rd%2B1+%26x",
    ],
)
def test_a_secret_is_hidden_in_every_form(form: str) -> None:
    keep_secret(TOKEN)
    assert inert(f"GET /x?%61ccess_token={form} HTTP") == "GET /x?%61ccess_token=*** HTTP"


def test_a_secret_that_begins_another_hides_neither_half() -> None:
    for secret in ("abcd", "abcdefgh", "abcdef"):
        keep_secret(secret)
    assert inert("abcdefgh abcdef abcd") == "*** *** ***"


@pytest.mark.parametrize(
    "address",
    ["/x?access_token=abc&a=1", "/x?a=1&ACCESS_TOKEN=abc", "?appsecret=abc", "'?password=abc'"],
)
def test_an_unknown_token_in_an_address_is_hidden(address: str) -> None:
    assert "abc" not in inert(address)


class Inner(Struct, frozen=True):
    password: str = "inner password"


class Config(Struct):
    access_token: str = "the token"
    app_secret: str = "the secret"
    encoding_aes_key: str = "the key of 43 characters"
    nickname: str = "the nickname"
    secret: str = ""
    bus: Inner = Inner()
    targets: tuple[Any, ...] = ("plain", {"url": "http://x", "secret": "target secret"})


def test_the_secrets_of_a_configuration_are_known_at_any_depth() -> None:
    keep_secrets_of(Config())
    said = inert("the token, the secret, the key of 43 characters, inner password, target secret")
    assert said == "***, ***, ***, ***, ***"
    assert inert("the nickname plain http://x") == "the nickname plain http://x"


def test_a_word_too_short_to_be_a_secret_stays_readable() -> None:
    keep_secret("abc")
    keep_secret("")
    assert inert("abcdef") == "abcdef"
