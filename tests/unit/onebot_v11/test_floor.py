"""The contiguous floor of what is finished, whatever the order in which it ends."""

from hypothesis import given
from hypothesis import strategies as st

from frontends.onebot_v11.floor import Floor


def test_the_floor_waits_for_the_oldest_and_knows_what_ended_above_it() -> None:
    floor = Floor(100)
    for sequence in (103, 105, 109):
        floor.begin(sequence)
    floor.end(105)
    assert (floor.sequence, floor.ahead, floor.width) == (102, {105}, 3)
    floor.end(103)
    assert (floor.sequence, floor.ahead, floor.width) == (108, set(), 1)
    floor.end(109)
    assert (floor.sequence, floor.ahead, floor.width) == (109, set(), 0)


def test_an_idle_floor_moves_on_with_the_log_and_a_busy_one_does_not() -> None:
    floor = Floor(100)
    floor.settle(150)
    assert floor.sequence == 150
    floor.settle(120)
    assert floor.sequence == 150
    floor.begin(160)
    floor.settle(200)
    assert floor.sequence == 150
    floor.end(160)
    assert floor.sequence == 160


@given(st.data())
def test_whatever_ends_first_a_successor_posts_exactly_what_had_not_ended(
    data: st.DataObject,
) -> None:
    sequences = sorted(data.draw(st.sets(st.integers(1, 10_000), min_size=1, max_size=60)))
    floor = Floor(0)
    waiting = list(sequences)
    open_: list[int] = []
    ended: set[int] = set()
    while waiting or open_:
        if waiting and (not open_ or data.draw(st.booleans())):
            open_.append(waiting.pop(0))
            floor.begin(open_[-1])
        else:
            sequence = open_.pop(data.draw(st.integers(0, len(open_) - 1)))
            floor.end(sequence)
            ended.add(sequence)
        again = {s for s in sequences if s > floor.sequence and s not in floor.ahead}
        assert again == set(sequences) - ended
        assert floor.width <= len(open_) + len(ended)
    assert (floor.sequence, floor.width) == (sequences[-1], 0)
