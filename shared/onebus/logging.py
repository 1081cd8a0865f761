"""Log lines: one event a line, nothing in them that acts on a terminal, no secret.

Control characters and direction marks are escaped, because names and texts come from strangers.
Every value that was configured as a secret is replaced wherever it turns up, and so is what
follows `access_token=` in an address.
"""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec

_ACTING = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]"
)
_IN_ADDRESS = re.compile(r"((?:access_token|secret|appsecret|password)=)[^&\s'\"]+", re.IGNORECASE)
_SECRET_NAME = re.compile(r"token|secret|password|aes_key", re.IGNORECASE)
_MIN_SECRET = 4

_secrets: list[str] = []


def keep_secret(value: str) -> None:
    """Never show this value in a log line, nor its percent-encoded forms."""
    if len(value) >= _MIN_SECRET:
        forms = {value, quote(value), quote(value, safe=""), quote_plus(value), repr(value)[1:-1]}
        # The longest first: a secret may be the beginning of another.
        _secrets[:] = sorted(forms.union(_secrets), key=len, reverse=True)


def keep_secrets_of(config: Any) -> None:
    """Never show the secrets of a configuration: fields named token, secret, password, aes_key."""
    _keep_secrets_in(msgspec.to_builtins(config), "")


def _keep_secrets_in(value: Any, name: str) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _keep_secrets_in(inner, str(key))
    elif isinstance(value, list | tuple):
        for inner in value:
            _keep_secrets_in(inner, name)
    elif isinstance(value, str) and _SECRET_NAME.search(name):
        keep_secret(value)


def inert(text: str) -> str:
    """A text as it may stand in a log line or on a terminal."""
    for secret in _secrets:
        text = text.replace(secret, "***")
    text = _IN_ADDRESS.sub(r"\1***", text)
    return _ACTING.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = inert(record.getMessage())
        head = f"{self.formatTime(record, '%H:%M:%S')} {record.levelname.lower():7} "
        if record.exc_info and record.levelno >= logging.ERROR:
            trace = self.formatException(record.exc_info).splitlines()
            return "\n".join([head + line, *(f"    {inert(part)}" for part in trace)])
        return head + line


def configure(level: str) -> None:
    """Log to standard error from this level on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("asyncio", "aiohttp", "nats"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
