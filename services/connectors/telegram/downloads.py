"""Files of messages, fetched when a bot asks for them.

Source: https://core.telegram.org/bots/api#getfile
"""

from pathlib import PurePosixPath

from connectors.telegram.api import BotApi
from connectors.telegram.files import decode_reference
from onebus import action as act
from onebus.connector import Kit
from onebus.errors import BadParams, NotFound


class Downloads:
    """The files of one account."""

    def __init__(self, kit: Kit, api: BotApi) -> None:
        self._kit = kit
        self._api = api

    async def get(self, action: act.GetMedia) -> act.MediaFile:
        """Fetch a file into the store. Raises ActionError.

        A server of one's own with `--local` names a path on its disk, where nobody can fetch it.
        """
        reference = decode_reference(action.file)
        if reference is None:
            raise BadParams("this is no file of Telegram: {file_id}.{kind}, as a message has it")
        file = await self._api.file(reference.file_id)
        if not file.file_path or file.file_path.startswith("/"):
            raise NotFound("Telegram gives no address for this file (a server with --local?)")
        async with self._api.download(file) as download:
            if not download.answer.ok:
                raise download.answer.error("a file")
            return await self._kit.media.put(
                download.chunks,
                name=PurePosixPath(file.file_path).name,
                content_type=download.answer.headers.get("Content-Type", ""),
            )
