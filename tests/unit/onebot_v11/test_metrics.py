"""What the transports count: an event on a second socket is one that is sent again."""

from types import SimpleNamespace
from typing import Any

from frontends.onebot_v11.config import Config
from frontends.onebot_v11.frame import Frame
from frontends.onebot_v11.progress import Progress
from frontends.onebot_v11.target import targets
from frontends.onebot_v11.window import Deaths
from frontends.onebot_v11.ws_reverse import Durable
from onebus import metrics
from onebus.ids import parse_account
from onebus.testing.memory_bus import MemoryBus

ACCOUNT = parse_account("sandbox.again")


def frame(sequence: int) -> Frame:
    return Frame(b"{}", "message.group", "g", 1, sequence, 1)


def test_an_event_that_goes_out_on_a_second_socket_is_sent_again() -> None:
    (target,) = targets(ACCOUNT, Config(ws_reverse=("ws://again.test/",)))
    session: Any = SimpleNamespace(log=None, bus=MemoryBus())
    claim: Any = None
    progress = Progress(session, target)
    first, second = (Durable(claim, progress, Deaths()) for _ in range(2))
    for sequence in (5, 6, 9):
        first.sent(frame(sequence))
    for sequence in (6, 9, 12):
        second.sent(frame(sequence))

    def value(name: str) -> float | None:
        return metrics.REGISTRY.get_sample_value(f"onebus_{name}", target.way._asdict())

    assert value("events_sent_total") == 6
    assert value("events_redelivered_total") == 2
