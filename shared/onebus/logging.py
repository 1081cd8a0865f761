"""Log lines: one event a line, nothing in them that acts on a terminal, no secret.

Control characters and direction marks are escaped, because names and texts come from strangers.
Every value that was configured as a secret is replaced wherever it turns up, and so is what
follows `access_token=` in an address.
"""

import logging
import re
import sys
from typing import Any

import msgspec

LEVELS = ("debug", "info", "warning", "error")

_ACTING = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]"
)
_IN_ADDRESS = re.compile(r"((?:access_token|secret|appsecret|password)=)[^&\s'\"]+", re.IGNORECASE)
_SECRET_NAME = re.compile(r"token|secret|password|aes_key", re.IGNORECASE)
_MIN_SECRET = 4

_secrets: set[str] = set()


def keep_secret(value: str) -> None:
    """Never show this value in a log line, nor its percent-encoded form."""
    if len(value) >= _MIN_SECRET:
        _secrets.add(value)


def keep_secrets_of(config: Any) -> None:
    """Never show the secrets of a configuration: fields named token, secret, password, aes_key."""
    for name, value in msgspec.structs.asdict(config).items():
        if isinstance(value, str) and _SECRET_NAME.search(name):
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
