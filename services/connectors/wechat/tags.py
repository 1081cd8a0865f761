"""The names of the tags that the account has given to followers."""

from collections.abc import Mapping

from connectors.wechat.answers import UserAnswer
from connectors.wechat.api import Api
from onebus.connector import Kit
from onebus.errors import ActionError

FRESH_S = 300.0
"""A tag that is renamed keeps its old name for so long."""


class Tags:
    """The account's tags by their ids, asked for now and then."""

    def __init__(self, api: Api, kit: Kit) -> None:
        self._api = api
        self._kit = kit
        self._names: Mapping[int, str] = {}
        self._asked_ms: int | None = None

    async def names(self, answer: UserAnswer) -> tuple[str, ...]:
        """The names of a follower's tags; those that the platform does not say are left out."""
        if not answer.tagid_list:
            return ()
        if self._asked_ms is None or self._kit.now_ms() - self._asked_ms > FRESH_S * 1000:
            await self._ask()
        return tuple(name for tag in answer.tagid_list if (name := self._names.get(tag)))

    async def _ask(self) -> None:
        """A follower is worth describing without tags, too: what fails is only logged."""
        self._asked_ms = self._kit.now_ms()
        try:
            self._names = {tag.id: tag.name for tag in await self._api.tags()}
        except ActionError as error:
            self._kit.logger.warning("the names of followers' tags could not be had: %s", error)
