"""Which streams take nothing at the moment: said once when it begins and once when it is over.

A limit that is reached is an error of JetStream. A full disk is none: nats-server 2.15 gives no
answer then, also not when there is room again, until it is started anew.
"""

import logging
from collections.abc import Callable

import msgspec
from msgspec import Struct

from onebus import metrics
from onebus.errors import BusError, BusTimeout

logger = logging.getLogger(__name__)

STORAGE_FULL = frozenset({10023, 10047, 10077})
"""JetStream: insufficient resources, insufficient storage, maximum bytes exceeded."""
ANOTHER_WRITE_IN_FLIGHT = 10164
SAME_WRITE_IN_FLIGHT = 10158
TRANSIENT = frozenset(
    {
        ANOTHER_WRITE_IN_FLIGHT,
        SAME_WRITE_IN_FLIGHT,
        10004,  # the cluster is incomplete
        10008,  # JetStream is temporarily unavailable: no leader
        10009,  # not the leader any more
        10039,  # not enabled for the account: the server has just started
        10076,  # not enabled: the server is about to start, or to stop
    }
)
"""Refusals that pass by themselves."""
NO_ANSWER = "no answer; is the disk of NATS full? Once there is room, restart nats-server"


class Refusal(Struct, frozen=True):
    """Why JetStream did not do something."""

    err_code: int = 0
    description: str = "refused"


class Ack(Struct, frozen=True):
    """What JetStream answers to a write: where it is, or why it is not."""

    seq: int = 0
    error: Refusal | None = None


_ACK = msgspec.json.Decoder(Ack)


def decode_ack(body: bytes) -> Ack:
    """The answer to a write; without a sequence it is a refusal."""
    try:
        ack = _ACK.decode(body)
    except msgspec.MsgspecError:  # not from JetStream
        return Ack(error=Refusal(description="the answer is none of JetStream's"))
    return ack if ack.seq or ack.error else Ack(error=Refusal())


class Refusals:
    """Of one connection, by the head of the subject, which names a stream: `onebus.events`.

    While it is not `connected` nothing is said of streams: that is said elsewhere.
    """

    def __init__(self, connected: Callable[[], bool]) -> None:
        self._connected = connected
        self._refusing: set[str] = set()

    def failed(self, subject: str, error: BusError) -> None:
        """Something was not stored."""
        if isinstance(error, BusTimeout):
            if self._connected():
                self._refused(subject, NO_ANSWER)
        elif getattr(error, "code", 0) in STORAGE_FULL:
            self._refused(subject, str(error))

    def stored(self, subject: str) -> None:
        """Something was."""
        if self._refusing and (head := _head(subject)) in self._refusing:
            self._refusing.discard(head)
            logger.info("NATS stores at %s again", head)

    def _refused(self, subject: str, why: str) -> None:
        head = _head(subject)
        metrics.stores_refused.labels(head).inc()
        if head not in self._refusing:
            self._refusing.add(head)
            logger.error("NATS stores nothing at %s: %s", head, why)


def _head(subject: str) -> str:
    return ".".join(subject.split(".", 2)[:2])
