"""Whether the account is online: the platform may take it offline, and a bot may restart it.

Only the process that owns the account asks; what it is told is in NATS, so any replica can tell.
"""

import asyncio

from msgspec.structs import replace

from connectors.sandbox.documents import Status
from connectors.sandbox.state import State
from onebus.errors import BadParams, NotReady

WAIT_S = 60.0
"""How long an account that is offline is waited for before saying so again."""
MAX_DELAY_MS = 3_600_000
STATUS = "now"


class Presence:
    """Holds the account open until it goes offline or is restarted."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._statuses = state.statuses
        self._ended = asyncio.Event()
        self._why = ""
        self._restart: asyncio.TimerHandle | None = None

    async def status(self) -> Status:
        """What is known of the account."""
        return await self._statuses.get(STATUS) or Status()

    async def change(self, online: bool, reason: str) -> None:
        """The platform puts the account online, or takes it offline."""
        await self._statuses.change(
            lambda known: replace(known or Status(), online=online, reason=reason), STATUS
        )

    async def until_online(self) -> None:
        """Wait for an account that is offline. Raises NotReady when it stays so."""
        online = asyncio.Event()

        def on_change(status: Status) -> None:
            if status.online:
                online.set()

        known = await self.status()
        if known.online:
            return
        async with self._statuses.follow(on_change):
            try:
                async with asyncio.timeout(WAIT_S):
                    await online.wait()
            except TimeoutError:
                raise NotReady(_offline(known)) from None

    async def hold(self) -> None:
        """Wait until the account goes offline or is restarted. Raises NotReady then."""
        self._ended.clear()
        async with self._state.followed(self._on_status):
            await self._ended.wait()
        raise NotReady(self._why)

    async def restart(self, delay_ms: int) -> None:
        """End `hold` after a while. Raises BadParams."""
        if not 0 <= delay_ms <= MAX_DELAY_MS:
            raise BadParams(f"the delay must be from 0 to {MAX_DELAY_MS} milliseconds")
        await self._statuses.change(
            lambda known: replace(known or Status(), restarts=(known or Status()).restarts + 1),
            STATUS,
        )
        self.close()
        loop = asyncio.get_running_loop()
        self._restart = loop.call_later(delay_ms / 1000, self._end, "restarted by a bot")

    async def clear_cache(self) -> None:
        """The sandbox keeps nothing of itself; that it was asked is seen in the state."""
        await self._statuses.change(
            lambda known: replace(
                known or Status(), caches_cleared=(known or Status()).caches_cleared + 1
            ),
            STATUS,
        )

    def close(self) -> None:
        """A restart that waits is not made any more."""
        if self._restart:
            self._restart.cancel()
        self._restart = None

    def _on_status(self, status: Status) -> None:
        if not status.online:
            self._end(_offline(status))

    def _end(self, why: str) -> None:
        self._why = why
        self._ended.set()


def _offline(status: Status) -> str:
    return f"the platform took it offline{': ' if status.reason else ''}{status.reason}"
