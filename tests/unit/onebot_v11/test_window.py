"""How much may be on its way to a socket, what a pong says, and which event kills a bot."""

from hypothesis import given
from hypothesis import strategies as st

from frontends.onebot_v11.ahead import FIRST, SLOW_S
from frontends.onebot_v11.frame import Frame
from frontends.onebot_v11.window import FATAL, MOST, SUSPICIOUS, Deaths, Window


def frame(sequence: int) -> Frame:
    return Frame(b"{}", "message", "c", 1, sequence)


def frames(*sequences: int) -> list[Frame]:
    return [frame(sequence) for sequence in sequences]


def pending(window: Window) -> list[int]:
    return [frame.sequence for frame in window.pending]


def test_a_pong_covers_what_was_sent_before_its_ping_and_nothing_else() -> None:
    window = Window(64)
    for sequence in (11, 12):
        window.add(frame(sequence))
    ping = window.ping(0)
    window.add(frame(13))
    assert window.pong(ping, 0.1) == 12
    assert pending(window) == [13]
    assert window.pong(ping, 0.2) is None


def test_what_is_no_answer_to_a_ping_of_ours_acknowledges_nothing() -> None:
    window = Window(64)
    window.add(frame(1))
    for payload in (b"", b"1", b"x", b"-1", b"9" * 30, "²".encode()):
        assert window.pong(payload, 0) is None
    assert pending(window) == [1]


def test_a_later_pong_stands_for_earlier_ones_that_never_came() -> None:
    """RFC 6455, 5.5.3: of several pings only the last need be answered."""
    window = Window(64)
    window.add(frame(1))
    window.ping(0)
    window.add(frame(2))
    assert window.pong(window.ping(0), 0) == 2
    assert not window.pending


def test_what_is_left_out_holds_nothing_up_and_is_passed_in_its_turn() -> None:
    window = Window(64)
    window.add(frame(1), sent=False)
    assert window.skip() == 1
    window.add(frame(2))
    window.add(frame(3), sent=False)
    assert window.skip() is None
    assert window.pong(window.ping(0), 0) == 3


def test_a_ping_follows_a_quarter_of_the_window_or_the_last_event_there_is() -> None:
    window = Window(64)
    assert not window.ping_due(idle=True)
    window.add(frame(1))
    assert window.ping_due(idle=True)
    assert not window.ping_due(idle=False)
    for sequence in range(2, FIRST // 4 + 1):
        window.add(frame(sequence))
    assert window.ping_due(idle=False)
    window.ping(0)
    assert not window.ping_due(idle=True)


def size_after(window: Window, took_s: float, pings: int) -> int:
    for _ in range(pings):
        window.add(frame(1))
        window.pong(window.ping(0), took_s)
        window.kept(1)
    count = 0
    while not window.full:
        window.add(frame(1))
        count += 1
    return count


def test_a_quick_bot_gets_more_at_once_and_a_slow_one_gets_fewer() -> None:
    assert size_after(Window(64), 0.01, 0) == FIRST
    assert size_after(Window(64), 0.01, 10) == 64
    assert size_after(Window(64), SLOW_S + 1, 10) == 1
    assert size_after(Window(64), SLOW_S - 1, 10) == FIRST
    assert size_after(Window(1), 0.01, 10) == 1


def test_what_was_acknowledged_and_is_not_on_record_takes_room_too() -> None:
    window = Window(MOST)
    for _ in range(MOST - 1):
        window.add(frame(1))
        window.pong(window.ping(0), 0.01)
    assert not window.full
    window.add(frame(2))
    assert window.full
    window.kept(window.unkept)
    assert not window.full


@given(st.lists(st.sampled_from(["send", "skip", "ping", "pong"]), max_size=200))
def test_nothing_counts_as_handed_over_that_was_not_acknowledged(steps: list[str]) -> None:
    window = Window(1000)
    sent: list[int] = []
    covered_by: dict[bytes, int] = {}
    pings: list[bytes] = []
    acknowledged = told = 0
    for sequence, step in enumerate(steps, 1):
        result = None
        match step:
            case "send":
                window.add(frame(sequence))
                sent.append(sequence)
            case "skip":
                window.add(frame(sequence), sent=False)
                result = window.skip()
            case "ping":
                pings.append(payload := window.ping(0))
                covered_by[payload] = sent[-1] if sent else 0
            case "pong" if pings:
                payload = pings.pop(0)
                acknowledged = max(acknowledged, covered_by[payload])
                result = window.pong(payload, 0)
        if result is not None:
            assert result > told
            told = result
        assert pending(window) == [sequence for sequence in sent if sequence > acknowledged]
        assert told < min(pending(window), default=told + 1)


def test_after_two_deaths_with_the_same_head_an_event_goes_alone() -> None:
    deaths = Deaths()
    assert deaths.window == MOST
    for _ in range(SUSPICIOUS):
        assert deaths.window == MOST
        assert deaths.died(frames(5, 6, 7)) is None
    assert deaths.window == 1


def test_an_event_that_alone_kills_five_sockets_is_named_and_others_are_not() -> None:
    deaths = Deaths()
    for _ in range(SUSPICIOUS):
        deaths.died(frames(5, 6))
    for _ in range(FATAL - 1):
        assert deaths.died(frames(5)) is None
    fatal = deaths.died(frames(5))
    assert fatal
    assert fatal.sequence == 5
    assert deaths.window == MOST
    assert deaths.died(frames(6)) is None


def test_deaths_with_nothing_on_the_way_or_with_others_in_front_blame_nobody() -> None:
    deaths = Deaths()
    for sequence in range(1, 20):
        assert deaths.died([]) is None
        assert deaths.died(frames(sequence)) is None
        assert deaths.window == MOST


def test_a_head_that_was_acknowledged_is_no_longer_suspected() -> None:
    deaths = Deaths()
    for _ in range(SUSPICIOUS):
        deaths.died(frames(5, 6))
    deaths.lived(4)
    assert deaths.window == 1
    deaths.lived(5)
    assert deaths.window == MOST
