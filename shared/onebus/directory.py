"""Who the accounts are and whether somebody serves them: written by owners, read by all.

A record survives its connector, so an account keeps its self id while nobody serves it. An account
is online when its record says so *and* the session that wrote it lives.
"""

import contextlib
import logging
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from onebus import subjects
from onebus.bucket import Bucket, Conflict, Entry
from onebus.bus import Bus
from onebus.codec import CodecError, decode, encode
from onebus.event import SCHEMA_VERSION, User
from onebus.ids import Account
from onebus.lease import Sessions
from onebus.service import Role

logger = logging.getLogger(__name__)


class AccountRecord(Struct, frozen=True, omit_defaults=True):
    """What is known of an account. `reason` says why it is offline, for people."""

    account: Account
    self_user: User
    id_scope: str | None
    capabilities: tuple[str, ...]
    version: str
    session: str
    online: bool
    reason: str = ""
    v: int = msgspec.field(default_factory=lambda: SCHEMA_VERSION)


async def write(bus: Bus, record: AccountRecord) -> None:
    """Publish a record. Only the account's owner does. Raises BusError."""
    await Bucket(bus, "accounts").put(subjects.account_key(record.account), encode(record))


async def mark_offline(bus: Bus, account: Account, reason: str, owned: Callable[[], bool]) -> None:
    """Say that nobody serves the account, unless another owner has written. Raises BusError."""
    bucket, key = Bucket(bus, "accounts"), subjects.account_key(account)
    entry = await bucket.get(key)
    record = decode(entry.value, AccountRecord) if entry else None
    if entry and record and record.online and owned():
        with contextlib.suppress(Conflict):
            offline = replace(record, online=False, reason=reason)
            await bucket.update(key, encode(offline), entry.revision)


async def read(bus: Bus, account: Account) -> AccountRecord | None:
    """One record, right from the bucket. Raises BusError."""
    entry = await Bucket(bus, "accounts").get(subjects.account_key(account))
    return decode(entry.value, AccountRecord) if entry else None


class Directory(Role):
    """All records as they are now, kept current by `run`."""

    def __init__(self, bus: Bus, sessions: Sessions) -> None:
        self._bus = bus
        self._bucket = Bucket(bus, "accounts")
        self._sessions = sessions
        self._records: dict[str, AccountRecord] = {}
        self._known = False
        self._on_change: list[Callable[[AccountRecord], None]] = []

    def get(self, account: Account) -> AccountRecord | None:
        """The record of an account, None while it was never served."""
        return self._records.get(subjects.account_key(account))

    def online(self, account: Account) -> bool:
        """Whether somebody serves the account, as far as this process can know."""
        return bool(self._bus.connected and self.server(account))

    def server(self, account: Account) -> str:
        """The session that serves the account, or empty; while NATS is away as it was before."""
        record = self.get(account)
        serves = record and record.online and record.session in self._sessions.live
        return record.session if record and serves else ""

    def lives(self, session: str) -> bool:
        """Whether a session is there; while NATS is away as it was before."""
        return session in self._sessions.live

    def on_change(self, callback: Callable[[AccountRecord], None]) -> None:
        """Call back, quickly, with each record that is new or has changed."""
        self._on_change.append(callback)

    def missing(self) -> Iterable[str]:
        """The first look at all of them."""
        if not self._known:
            yield "the accounts are not known yet"

    async def run(self) -> None:
        """Follow the bucket until cancelled."""
        await self._bus.ready.wait()
        async with self._bucket.follow("", self._take) as reader:
            await reader.caught_up.wait()
            self._known = True
            await reader.ended()

    def _take(self, key: str, entry: Entry | None) -> None:
        if entry is None:
            self._records.pop(key, None)
            return
        try:
            record = decode(entry.value, AccountRecord)
        except CodecError as error:
            logger.warning("directory entry %s is unreadable: %s", key, error)
            return
        if subjects.account_key(record.account) != key:
            logger.warning("directory entry %s names another account; ignored", key)
            return
        self._records[key] = record
        if record.online and not self.lives(record.session):
            self._sessions.look_soon()
        for callback in self._on_change:
            callback(record)
