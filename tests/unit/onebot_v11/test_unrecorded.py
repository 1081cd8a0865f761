"""How many posts may come again after a crash, and what makes room for more."""

import asyncio

from frontends.onebot_v11.unrecorded import Unrecorded


async def test_there_is_room_again_for_what_is_recorded_and_for_what_was_not_taken() -> None:
    posts = Unrecorded(2)
    for sequence in (1, 2):
        await posts.room()
        posts.add(sequence)
    third = asyncio.ensure_future(posts.room())
    posts.end(1)
    await asyncio.sleep(0)
    assert not third.done(), "it ended, but after a crash it would come again"
    ended = posts.ended
    posts.end(2)
    posts.recorded(ended)
    async with asyncio.timeout(5):
        await third
    posts.add(3)
    assert (posts.ended, 3 in posts, 1 in posts) == ({2}, True, False)
    posts.discard(3)
    async with asyncio.timeout(5):
        await posts.room()
    assert not await _has_room(posts), "2 ended, and is not recorded"


async def test_what_is_recorded_twice_makes_room_once() -> None:
    posts = Unrecorded(1)
    await posts.room()
    posts.add(1)
    posts.end(1)
    ended = posts.ended
    posts.recorded(ended)
    posts.recorded(ended)
    assert await _has_room(posts)
    assert not await _has_room(posts)


async def test_what_was_never_posted_takes_no_room_and_is_told_to_who_records() -> None:
    posts = Unrecorded(1)
    posts.end(7)
    assert (posts.ended, posts.news.is_set()) == (set(), True)
    posts.recorded({7})
    assert await _has_room(posts)
    assert not await _has_room(posts)


async def test_when_nothing_more_is_posted_nobody_waits() -> None:
    posts = Unrecorded(1)
    await posts.room()
    waiting = asyncio.ensure_future(posts.room())
    await asyncio.sleep(0)
    posts.no_limit()
    async with asyncio.timeout(5):
        await waiting


async def _has_room(posts: Unrecorded) -> bool:
    """Whether it gives room without a wait."""
    asking = asyncio.ensure_future(posts.room())
    await asyncio.sleep(0)
    if not asking.done():
        asking.cancel()
        return False
    return True
