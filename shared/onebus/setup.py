"""Streams and buckets: made, and migrated from an older version of themselves."""

import logging
import time
from typing import Any

from msgspec import Struct

from onebus import subjects
from onebus.backoff import Backoff
from onebus.bus import NOT_FOUND_CODES, Bus, NoResponders, StoreRefused
from onebus.errors import BusTimeout, Misconfigured
from onebus.refusals import STORAGE_FULL, TRANSIENT

logger = logging.getLogger(__name__)

VERSION = "1"
VERSION_KEY = "onebus.version"
EPOCH_S = 1_767_225_600  # 2026-01-01T00:00:00Z
SEQUENCES_PER_SECOND = 4096
SESSION_TTL_S = 6
IDEMPOTENCY_TTL_S = 600
TOKENS_TTL_S = 30 * 86_400
DEFERRED_TTL_S = 86_400
MAX_DEFERRED = 100_000
MAX_DEFERRED_BYTES = 256 << 20
DEAD_TTL_S = 30 * 86_400
MAX_DEAD = 10_000
MAX_DEAD_BYTES = 64 << 20
ELECTION_S = 10.0

BUCKETS = {
    "accounts": 0,
    "ids": 0,
    "sessions": SESSION_TTL_S,
    "claims": 0,
    "cursors": 0,
    "tokens": TOKENS_TTL_S,
    "idempotency": IDEMPOTENCY_TTL_S,
    "sandbox": 0,
}
"""The buckets, and for how long each keeps a key, seconds; 0: for ever."""
PRIVATE = frozenset({"sandbox"})
"""Buckets of one platform alone, called like it."""

# What a server cannot change on a stream that exists.
_FIXED = frozenset({"name", "storage", "retention", "first_seq", "max_consumers"})


class Storage(Struct, frozen=True):
    """Limits of the event log and of media, and copies of everything."""

    max_age_s: float = 7 * 86_400
    max_messages: int = 200_000
    max_bytes: int = 1 << 30
    replicas: int = 1
    media_max_bytes: int = 1 << 30
    media_max_age_s: float = 86_400


def wanted(prefix: str, storage: Storage, now_s: float) -> list[dict[str, Any]]:
    """The configuration of every stream, as the server's API takes it."""
    first_seq = int((now_s - EPOCH_S) * SEQUENCES_PER_SECOND)
    made = [_bucket(f"{prefix}_{name}", ttl_s, storage) for name, ttl_s in BUCKETS.items()]
    logs = (_events, _deferred, _dead)
    streams = [make(prefix, storage, first_seq) for make in logs]
    return [*streams, _media(prefix, storage), *made]


def streams(prefix: str) -> list[str]:
    """The name of every stream."""
    return [config["name"] for config in wanted(prefix, Storage(), EPOCH_S)]


def _events(prefix: str, storage: Storage, first_seq: int) -> dict[str, Any]:
    """The event log."""
    return {
        "name": f"{prefix}_events",
        "subjects": [f"{prefix}.{subjects.EVENTS}"],
        "storage": "file",
        "retention": "limits",
        "discard": "old",
        "allow_direct": True,
        "max_age": _ns(storage.max_age_s),
        "max_msgs": storage.max_messages,
        "max_bytes": storage.max_bytes,
        "max_consumers": 10_000,
        "duplicate_window": _ns(min(storage.max_age_s, 120) or 120),
        # A log that is made anew must not use numbers that bots still remember.
        "first_seq": first_seq,
        "num_replicas": storage.replicas,
        "metadata": {VERSION_KEY: VERSION},
    }


def _deferred(prefix: str, storage: Storage, first_seq: int) -> dict[str, Any]:
    """Actions that wait. When it is full a new one is refused: none is ever pushed out."""
    return {
        "name": f"{prefix}_deferred",
        "subjects": [f"{prefix}.{subjects.DEFERRED}"],
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "allow_direct": True,
        "allow_msg_ttl": True,
        "max_age": _ns(DEFERRED_TTL_S),
        "max_msgs": MAX_DEFERRED,
        "max_msgs_per_subject": 1,
        "max_bytes": MAX_DEFERRED_BYTES,
        "max_consumers": 10_000,
        "first_seq": first_seq,  # cursors outlive the stream
        "num_replicas": storage.replicas,
        "metadata": {VERSION_KEY: VERSION},
    }


def _dead(prefix: str, storage: Storage, first_seq: int) -> dict[str, Any]:
    """What bots could not be given: the newest of it, for people."""
    return {
        "name": f"{prefix}_dead",
        "subjects": [f"{prefix}.{subjects.DEAD}"],
        "storage": "file",
        "retention": "limits",
        "discard": "old",
        "allow_direct": True,
        "max_age": _ns(DEAD_TTL_S),
        "max_msgs": MAX_DEAD,
        "max_bytes": MAX_DEAD_BYTES,
        "max_consumers": 10_000,
        "first_seq": first_seq,
        "num_replicas": storage.replicas,
        "metadata": {VERSION_KEY: VERSION},
    }


def _media(prefix: str, storage: Storage) -> dict[str, Any]:
    """Files on their way, as an object store of NATS. When it is full the oldest goes."""
    name = f"{prefix}_media"
    return {
        "name": f"OBJ_{name}",
        "subjects": [f"$O.{name}.C.>", f"$O.{name}.M.>"],
        "storage": "file",
        "retention": "limits",
        "discard": "old",
        "allow_direct": True,
        # No rollups, which NATS's own writers use: with one a service could empty the store.
        "max_age": _ns(storage.media_max_age_s),
        "max_bytes": storage.media_max_bytes,
        "max_consumers": 10_000,
        "num_replicas": storage.replicas,
        "metadata": {VERSION_KEY: VERSION},
    }


def _bucket(name: str, ttl_s: float, storage: Storage) -> dict[str, Any]:
    """A key-value bucket as the server and its tools understand one."""
    return {
        "name": f"KV_{name}",
        "subjects": [f"$KV.{name}.>"],
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "max_msgs_per_subject": 1,
        "max_age": _ns(ttl_s),
        "max_consumers": 10_000,
        "duplicate_window": _ns(min(ttl_s, 120) or 120),
        "allow_direct": True,
        # With one header on a key of its own a service would remove everybody's.
        "allow_rollup_hdrs": False,
        "deny_delete": True,
        "num_replicas": storage.replicas,
        "metadata": {VERSION_KEY: VERSION},
    }


async def set_up(bus: Bus, storage: Storage) -> list[str]:
    """Make what is missing and change what differs; returns a line about each stream.

    Safe to run again, at any time, while services are running. Raises BusError.
    """
    return [await _ensure(bus, config) for config in wanted(bus.prefix, storage, time.time())]


async def _ensure(bus: Bus, config: dict[str, Any]) -> str:
    name = config["name"]
    try:
        existing = (await _call(bus, f"STREAM.INFO.{name}"))["config"]
    except StoreRefused as error:
        if error.code not in NOT_FOUND_CODES:
            raise
        await _create(bus, config)
        return f"created {name}"
    if _version(existing) > int(VERSION):  # a rolling upgrade has begun, and this is the old side
        return f"{name} is of a newer onebus: left as it is"
    changes = {
        key: value
        for key, value in config.items()
        if key not in _FIXED and not _same(existing.get(key), value)
    }
    if not changes:
        return f"{name} is as it should be"
    await _call(bus, f"STREAM.UPDATE.{name}", existing | changes)
    return f"updated {name}: {', '.join(sorted(changes))}"


async def _create(bus: Bus, config: dict[str, Any]) -> None:
    try:
        await _call(bus, f"STREAM.CREATE.{config['name']}", config)
    except StoreRefused as error:
        if error.code not in STORAGE_FULL:
            raise
        raise Misconfigured(
            f"NATS has no room for {config['name']}: it sets aside up to three quarters of its "
            "free disk, or max_file_store; make room, or lower bus.max_bytes"
        ) from error


async def _call(bus: Bus, operation: str, config: dict[str, Any] | None = None) -> dict[str, Any]:
    """A call that waits for a cluster which has no leader yet."""
    deadline = time.monotonic() + ELECTION_S
    backoff = Backoff(0.1, 1)
    while True:
        try:
            return await bus.api(operation, config)
        except (NoResponders, BusTimeout, StoreRefused) as error:
            lasting = isinstance(error, StoreRefused) and error.code not in TRANSIENT
            if lasting or time.monotonic() > deadline:
                raise
        await backoff.wait()


def _version(existing: dict[str, Any]) -> int:
    version = str((existing.get("metadata") or {}).get(VERSION_KEY, ""))
    return int(version) if version.isdecimal() else 0


def _same(existing: Any, value: Any) -> bool:
    if isinstance(value, dict):  # the server adds metadata of its own
        return isinstance(existing, dict) and value.items() <= existing.items()
    return existing == value or (not existing and not value)


def _ns(seconds: float) -> int:
    return int(seconds * 1_000_000_000)
