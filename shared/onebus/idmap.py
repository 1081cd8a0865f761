"""Integers for native ids, without a database and the same at every replica.

OneBot V11 wants integers. A user or group whose native id is a plain positive number below 2^52
keeps it, where ids are unique on the whole platform. Any other becomes 2^52 + 52 bits of
BLAKE2(scope, kind, id), below 2^53 so that JavaScript keeps it exact; one entry of a bucket is the
way back, written before the number is first shown. A message's number is its place in the log,
folded into a positive int32: nothing is allocated for it.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Iterable
from hashlib import blake2b
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from onebus.bucket import Bucket, Conflict
from onebus.codec import decode, encode

Kind: TypeAlias = Literal["user", "group"]

FIRST_HASHED = 1 << 52
MESSAGE_MODULUS = (1 << 31) - 1
CACHE_SIZE = 100_000
MAX_SALT = 16
AT_ONCE = 64

_PLAIN = re.compile(r"[1-9][0-9]{0,15}")


class Native(Struct, frozen=True):
    """Whose number it is: stored under the number."""

    scope: str
    kind: Kind
    id: str


def number_of(scope: str, kind: Kind, native: str, salt: int = 0) -> int:
    """The number of a native id before collisions are looked at (`salt` counts those).

    `scope` comes from `scope_of`.
    """
    if salt == 0 and "/" not in scope and _PLAIN.fullmatch(native) and int(native) < FIRST_HASHED:
        return int(native)
    material = "\0".join((scope, kind, native, str(salt))).encode("utf-8", "surrogatepass")
    return FIRST_HASHED + (int.from_bytes(blake2b(material, digest_size=8).digest()) >> 12)


def scope_of(platform: str, id_scope: str | None) -> str:
    """Within what native ids are unique: a platform, or one server of it."""
    return platform if id_scope is None else f"{platform}/{id_scope}"


def fold(sequence: int) -> int:
    """A sequence of the log → a message_id, 1 to 2^31 - 1."""
    return (sequence - 1) % MESSAGE_MODULUS + 1


def unfold(message_id: int, near: int) -> int | None:
    """A message_id → the sequence nearest to one that is known; None if there cannot be one."""
    if not 1 <= message_id <= MESSAGE_MODULUS:
        return None
    turn = (near - message_id + MESSAGE_MODULUS // 2) // MESSAGE_MODULUS
    sequence = message_id + max(turn, 0) * MESSAGE_MODULUS
    return sequence if sequence > 0 else None


class Numbering(Protocol):
    """Numbers of users and groups, both ways."""

    async def number(self, scope: str, kind: Kind, native: str) -> int:
        """The number of a native id."""

    async def numbers(self, scope: str, kind: Kind, natives: Iterable[str]) -> dict[str, int]:
        """The numbers of many native ids."""

    def known(self, scope: str, kind: Kind, natives: Iterable[str]) -> dict[str, int] | None:
        """The numbers of many native ids; None if one of them would have to be looked up."""

    async def native(self, scope: str, kind: Kind, number: int) -> str | None:
        """The native id behind a number; None if nobody has it."""


class OwnNumbers:
    """Of a platform whose ids are the numbers that bots know: nothing is looked up."""

    async def number(self, scope: str, kind: Kind, native: str) -> int:  # noqa: ARG002
        """The id itself."""
        return int(native)

    async def numbers(self, scope: str, kind: Kind, natives: Iterable[str]) -> dict[str, int]:  # noqa: ARG002
        """The ids themselves."""
        return {native: int(native) for native in natives}

    def known(self, scope: str, kind: Kind, natives: Iterable[str]) -> dict[str, int]:  # noqa: ARG002
        """The ids themselves."""
        return {native: int(native) for native in natives}

    async def native(self, scope: str, kind: Kind, number: int) -> str | None:  # noqa: ARG002
        """The number itself, whether there is such a user or not."""
        return str(number)


class IdMap:
    """Numbers of users and groups over the bucket `ids`; remembers the latest CACHE_SIZE of them.

    All calls raise BusError when NATS is away and the answer is not remembered.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._numbers: OrderedDict[Native, int] = OrderedDict()
        self._natives: OrderedDict[tuple[Kind, int], Native] = OrderedDict()

    async def number(self, scope: str, kind: Kind, native: str) -> int:
        """The number of a native id; it can be turned back from now on, anywhere."""
        wanted = Native(scope, kind, native)
        if (known := self._remembered(wanted)) is not None:
            return known
        for salt in range(MAX_SALT):
            number = number_of(scope, kind, native, salt)
            if await self._claim(number, wanted):
                self._remember(wanted, number)
                return number
        raise RuntimeError(f"{MAX_SALT} collisions in a row for one id")

    async def numbers(self, scope: str, kind: Kind, natives: Iterable[str]) -> dict[str, int]:
        """The numbers of many native ids, looked up AT_ONCE at a time."""
        wanted = list(dict.fromkeys(natives))
        if (known := self.known(scope, kind, wanted)) is not None:
            return known
        found: dict[str, int] = {}
        for first in range(0, len(wanted), AT_ONCE):
            batch = wanted[first : first + AT_ONCE]
            numbers = await asyncio.gather(*(self.number(scope, kind, one) for one in batch))
            found.update(zip(batch, numbers, strict=True))
        return found

    def known(self, scope: str, kind: Kind, natives: Iterable[str]) -> dict[str, int] | None:
        """The numbers of many native ids, if all of them are remembered."""
        found: dict[str, int] = {}
        for native in natives:
            number = self._remembered(Native(scope, kind, native))
            if number is None:
                return None
            found[native] = number
        return found

    def _remembered(self, wanted: Native) -> int | None:
        """A number that was looked up before, or is the id itself."""
        if (known := self._numbers.get(wanted)) is not None:
            self._numbers.move_to_end(wanted)
            return known
        plain = number_of(wanted.scope, wanted.kind, wanted.id)
        return plain if plain < FIRST_HASHED else None

    async def native(self, scope: str, kind: Kind, number: int) -> str | None:
        """The native id behind a number of this scope; None if it was never given out there."""
        if 0 < number < FIRST_HASHED:
            return None if "/" in scope else str(number)
        known = self._natives.get((kind, number))
        if known is None and (known := await self._look_up(kind, number)):
            self._remember(known, number)
        if known is None or known.scope != scope:
            return None
        return known.id

    async def claim_self(self, number: int, account: str) -> str:
        """Make a self id an account's for as long as the installation lives; returns whose it is.

        Two accounts with one self id could not be told apart by a bot.
        """
        key = f"self.{number}"
        try:
            await self._bucket.create(key, account.encode())
        except Conflict:
            return (await self._bucket.existing(key)).value.decode()
        return account

    async def _claim(self, number: int, wanted: Native) -> bool:
        """Make the number lead back to this id; False when it is another's."""
        holder = await self._look_up(wanted.kind, number)
        if holder is None:
            try:
                await self._bucket.create(_key(wanted.kind, number), encode(wanted))
            except Conflict:
                entry = await self._bucket.existing(_key(wanted.kind, number))
                holder = decode(entry.value, Native)
            else:
                holder = wanted
        return holder == wanted

    async def _look_up(self, kind: Kind, number: int) -> Native | None:
        entry = await self._bucket.get(_key(kind, number))
        return decode(entry.value, Native) if entry else None

    def _remember(self, native: Native, number: int) -> None:
        self._numbers[native] = number
        self._natives[(native.kind, number)] = native
        while len(self._numbers) > CACHE_SIZE:
            dropped, its_number = self._numbers.popitem(last=False)
            self._natives.pop((dropped.kind, its_number), None)


def _key(kind: Kind, number: int) -> str:
    return f"{kind}.{number}"
