"""Carries large files both ways at once, in a process of its own: `carrier BOT SANDBOX COUNT MIB`.

BOT and SANDBOX are an account's addresses at a frontend and at its connector. Each file goes from a
person to the bot and another from the bot to the person, and both are compared by their hash. The
last line printed is how many went wrong.
"""

import asyncio
import hashlib
import random
import sys
from collections.abc import AsyncIterator
from urllib.parse import urljoin

import aiohttp

PIECE = 64 << 10


class File:
    """Bytes that only their number decides; none of them is held."""

    def __init__(self, number: int, size: int) -> None:
        self.size = size
        self._piece = random.Random(number).randbytes(PIECE)
        self._hash = hashlib.sha256()
        for _ in range(size // PIECE):
            self._hash.update(self._piece)

    async def pieces(self) -> AsyncIterator[bytes]:
        for _ in range(self.size // PIECE):
            yield self._piece

    def same(self, digest: str) -> bool:
        return digest == self._hash.hexdigest()


async def digest_of(http: aiohttp.ClientSession, url: str) -> str:
    found = hashlib.sha256()
    async with http.get(url) as response:
        response.raise_for_status()
        async for piece in response.content.iter_chunked(PIECE):
            found.update(piece)
    return found.hexdigest()


async def to_bot(
    http: aiohttp.ClientSession, bot: str, sandbox: str, number: int, file: File
) -> bool:
    """A person uploads it, and whoever has the address that the bot is told loads it."""
    headers = {"Content-Type": "application/octet-stream"}
    url = f"{sandbox}/api/files?name={number}.bin"
    async with http.post(url, data=file.pieces(), headers=headers) as response:
        response.raise_for_status()
        uploaded = await response.json()
    params = {"file_id": uploaded["file"]}
    async with http.post(f"{bot}/onebot/v11/get_private_file_url", json=params) as response:
        found = (await response.json())["data"]["url"]
    return file.same(await digest_of(http, found))


async def to_person(
    http: aiohttp.ClientSession, bot: str, sandbox: str, number: int, file: File
) -> bool:
    """The bot uploads it, and the person's page loads it."""
    form = aiohttp.FormData()
    user = f"u{number}"
    form.add_field("user_id", user)
    form.add_field("file", file.pieces(), filename=f"{number}.bin")
    async with http.post(f"{bot}/onebot/v11/upload_private_file", data=form) as response:
        answer = await response.json()
    if answer["status"] != "ok":
        print(answer)
        return False
    async with http.get(f"{sandbox}/api/messages", params={"user": user}) as response:
        message = (await response.json())["messages"][-1]["message"]
    return file.same(await digest_of(http, urljoin(f"{sandbox}/", message[0]["data"]["url"])))


async def main(bot: str, sandbox: str, count: int, mib: int) -> None:
    timeout = aiohttp.ClientTimeout(total=600)
    connector = aiohttp.TCPConnector(limit=0)
    wrong = 0
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        files = [File(number, mib << 20) for number in range(2 * count)]
        print("begun", flush=True)
        results = await asyncio.gather(
            *(to_bot(http, bot, sandbox, n, files[n]) for n in range(count)),
            *(to_person(http, bot, sandbox, n, files[n]) for n in range(count, 2 * count)),
            return_exceptions=True,
        )
    for result in results:
        if result is not True:
            wrong += 1
            print(repr(result), flush=True)
    print(f"wrong {wrong}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
