"""Native ids as platforms give them, drawn from a seed; and their numbers' fingerprint.

`python -m tests.e2e.faults.native_ids SEED COUNT` prints the fingerprint: another process, which
shares nothing with the first but the code, must come to the same.
"""

import hashlib
import random
import string
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from onebus.idmap import Kind, number_of

_BASE64 = string.ascii_letters + string.digits + "-_"


class NativeId(NamedTuple):
    """A native id and where it is unique."""

    scope: str
    kind: Kind
    id: str

    @property
    def number(self) -> int:
        """Its number, before collisions are looked at."""
        return number_of(self.scope, self.kind, self.id)


def _snowflake(draw: random.Random) -> str:
    """Discord: 42 bits of milliseconds, a worker, a counter; most are beyond 2^53."""
    return str(draw.randrange(1 << 38, 1 << 41) << 22 | draw.randrange(1 << 22))


def _supergroup(draw: random.Random) -> str:
    """Telegram: -100 and a channel's number."""
    return f"-100{draw.randrange(10**9, 10**10)}"


def _telegram_user(draw: random.Random) -> str:
    """Telegram: a plain number, which is kept."""
    return str(draw.randrange(1, 1 << 52))


def _open_id(draw: random.Random) -> str:
    """WeChat: `o` and 27 characters."""
    return "o" + "".join(draw.choices(_BASE64, k=27))


def _nickname(draw: random.Random) -> str:
    """IRC: unique on its network only, and often nothing but digits elsewhere."""
    return draw.choice(("guest", "00", "", "名")) + str(draw.randrange(10**9))


_FAMILIES: tuple[tuple[str, Kind, Callable[[random.Random], str]], ...] = (
    ("discord", "user", _snowflake),
    ("telegram", "group", _supergroup),
    ("telegram", "user", _telegram_user),
    ("wechat", "user", _open_id),
    ("irc/libera", "user", _nickname),
)


def native_ids(seed: int, count: int) -> Iterator[NativeId]:
    """So many different ones, a fifth of each family, in turn."""
    draw = random.Random(seed)
    seen: set[tuple[str, str]] = set()
    while len(seen) < count:
        scope, kind, make = _FAMILIES[len(seen) % len(_FAMILIES)]
        native = NativeId(scope, kind, make(draw))
        if (scope + kind, native.id) not in seen:
            seen.add((scope + kind, native.id))
            yield native


def fingerprint(numbers: Iterator[int]) -> str:
    """A digest of many numbers in their order."""
    digest = hashlib.sha256()
    for number in numbers:
        digest.update(b"%d\n" % number)
    return digest.hexdigest()


if __name__ == "__main__":
    print(fingerprint(native.number for native in native_ids(int(sys.argv[1]), int(sys.argv[2]))))
