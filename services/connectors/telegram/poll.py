"""Asking Telegram for updates, and how far that has got.

An update is confirmed by asking for the one after it, which happens when the log has it. The place
is kept as a cursor, so that another process goes on where this one stopped.
Source: https://core.telegram.org/bots/api#getupdates
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from msgspec import Struct

from connectors.telegram.albums import MOST, album_of
from connectors.telegram.answers import Conflicting, conflict
from connectors.telegram.api import MAX_UPDATES, BotApi
from connectors.telegram.config import Config
from connectors.telegram.decode import Inbound
from connectors.telegram.intake import Intake
from onebus.connector import Kit
from onebus.cursor import Cursor
from onebus.errors import OnebusError

QUIET_MS = 86_400_000
"""After a week of silence Telegram begins anew at any number, which may be a lower one."""
LOOK_S = 0.2
"""How often is looked for the rest of an album."""


class Place(Struct, frozen=True):
    """From which update on is asked, and since when; `offset` None: from the first there is."""

    offset: int | None = None
    at_ms: int = 0


def encode_place(place: Place) -> str:
    """A place as a cursor keeps it."""
    return f"{place.offset} {place.at_ms}"


def decode_place(position: str | None) -> Place:
    """What a cursor kept; anything else is the beginning."""
    match (position or "").split(" "):
        case [offset, at_ms] if offset.isdigit() and at_ms.isdigit():
            return Place(int(offset), int(at_ms))
    return Place()


class Poller:
    """The updates of one account, as its owner asks for them."""

    def __init__(self, config: Config, kit: Kit, api: BotApi, intake: Intake) -> None:
        self._config = config
        self._kit = kit
        self._api = api
        self._intake = intake
        self._cursor: Cursor | None = None
        self._place = Place()
        self._album = _Waiting()

    async def connect(self, up: Callable[[], None]) -> None:
        """Ask until that fails; `up` when Telegram answers. Raises OnebusError."""
        if self._cursor is None:
            # Named after the bot: the numbers of one that was configured before mean nothing.
            cursor = self._kit.cursor(f"updates-{self._config.bot_id}")
            self._place = decode_place(await cursor.load())
            self._cursor = cursor
        wait = True
        while True:
            await self._kit.ready()
            updates = await self._updates(wait=wait)
            up()
            inbounds = [await self._intake.decoded(update) for update in updates]
            ids = [int(update["update_id"]) for update in updates]
            wait = await self._take(ids, inbounds)

    def forget(self) -> None:
        """Another process may go on: the place is read again before the next time."""
        self._cursor = None

    async def _updates(self, *, wait: bool) -> list[dict[str, Any]]:
        offset = self._place.offset
        if self._kit.now_ms() - self._place.at_ms > QUIET_MS:
            offset = None  # everything up to here was confirmed long ago
        try:
            found = await self._api.updates(offset, wait=wait)
        except Conflicting as error:
            raise conflict(error.text) from error
        return [update for update in found if isinstance(update.get("update_id"), int)]

    async def _take(self, ids: Sequence[int], inbounds: Sequence[Inbound | None]) -> bool:
        """Log what can be logged and move on behind it; False: more is known to be waiting."""
        held = self._album.first_held(
            inbounds, full=len(ids) >= MAX_UPDATES, window_s=self._config.album_window_s
        )
        count = len(ids) if held is None else held
        taken = [inbound for inbound in inbounds[:count] if inbound]
        await self._log(taken)
        if count:
            await self._move(ids[count - 1] + 1)
        for inbound in taken:
            await self._intake.let_go(inbound)
        if held is not None:
            await asyncio.sleep(min(LOOK_S, self._config.album_window_s))
        return held is None

    async def _move(self, offset: int) -> None:
        self._place = Place(offset, self._kit.now_ms())
        if self._cursor:
            await self._cursor.move(encode_place(self._place))

    async def _log(self, inbounds: Sequence[Inbound]) -> None:
        """Each chat in its order, several chats at once. Raises the first OnebusError."""
        lanes: dict[object, list[Inbound]] = {}
        for inbound in inbounds:
            chat = getattr(inbound.events[0], "chat", None) if inbound.events else None
            lanes.setdefault(chat.key if chat else None, []).append(inbound)
        problems: list[OnebusError] = []
        async with asyncio.TaskGroup() as group:
            for lane in lanes.values():
                group.create_task(self._log_chat(lane, problems))
        if problems:
            raise problems[0]

    async def _log_chat(self, lane: Sequence[Inbound], problems: list[OnebusError]) -> None:
        try:
            for album, parts in groupby(lane, album_of):
                if album:
                    await self._intake.take_album(list(parts))
                else:
                    for inbound in parts:
                        await self._intake.take(inbound)
        except OnebusError as error:  # kept out of the group, which would wrap it
            problems.append(error)


class _Waiting:
    """Albums whose next picture may still be on its way: how many there were, and since when."""

    def __init__(self) -> None:
        self._seen: dict[object, tuple[int, float]] = {}

    def first_held(
        self, inbounds: Sequence[Inbound | None], *, full: bool, window_s: float
    ) -> int | None:
        """Where the first album begins that has to be waited for; None when there is none.

        It is complete when something else follows in its chat, when it has all the pictures that an
        album can have, or when no other came for a while. `full`: more was not asked for.
        """
        now_s = time.monotonic()
        before, self._seen = self._seen, {}
        held: list[int] = []
        for album, places in _open_albums(inbounds).items():
            seen = before.get(album)
            since_s = seen[1] if seen and seen[0] == len(places) else now_s
            self._seen[album] = len(places), since_s
            if len(places) < MOST and now_s - since_s < window_s:
                held.append(places[0])
        return min(held) if held and not full else None


def _open_albums(inbounds: Sequence[Inbound | None]) -> dict[object, list[int]]:
    """The places of the albums that nothing follows in their chats."""
    last: dict[object, tuple[object, list[int]]] = {}
    for place, inbound in enumerate(inbounds):
        said = inbound.events[0] if inbound and inbound.events else None
        chat = getattr(said, "chat", None)
        if inbound is None or chat is None:
            continue
        album = album_of(inbound)
        if album and chat.key in last and last[chat.key][0] == album:
            last[chat.key][1].append(place)
        else:
            last[chat.key] = album, [place]
    return {album: places for album, places in last.values() if album}
