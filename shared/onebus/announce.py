"""What the owner of an account says of it in the directory: who it is, or why it is offline."""

import asyncio
import contextlib
from collections.abc import Callable
from logging import DEBUG, WARNING

from onebus import __version__, directory
from onebus.bus import Bus
from onebus.connector import SelfInfo
from onebus.directory import AccountRecord
from onebus.errors import BusError
from onebus.kit import BusKit

LOOK_S = 0.5
"""How often the owner looks whether it has another session, under which to say it again."""


class Announcer:
    """Of one account. `session`: the one that this process has now."""

    def __init__(
        self, bus: Bus, kit: BusKit, session: Callable[[], str], capabilities: tuple[str, ...]
    ) -> None:
        self._bus = bus
        self._kit = kit
        self._session = session
        self._capabilities = capabilities
        self._told = ""
        """Why it was last said to be offline: the same reason is not said twice."""

    async def online(self, info: SelfInfo) -> None:
        """Keep the account's record in the directory, until cancelled."""
        self._told = written = ""
        self._kit.logger.info("online as %s", info.user.name or info.user.id)
        while True:
            session = self._session()
            if session != written and self._kit.owned():
                with contextlib.suppress(BusError):
                    await directory.write(self._bus, self._record(info, session))
                    written = session
            await asyncio.sleep(LOOK_S)

    async def offline(self, reason: str) -> None:
        """Say why, in the log and in the directory, where the account's bots can read it."""
        told, self._told = self._told, reason
        self._kit.logger.log(DEBUG if told == reason else WARNING, "offline: %s", reason)
        with contextlib.suppress(BusError):
            await directory.mark_offline(self._bus, self._kit.account, reason, self._kit.owned)

    def _record(self, info: SelfInfo, session: str) -> AccountRecord:
        return AccountRecord(
            account=self._kit.account,
            self_user=info.user,
            id_scope=info.id_scope,
            capabilities=self._capabilities,
            version=__version__,
            session=session,
            online=True,
        )
