"""A `onebus up` that goes to bots, each of an account of its own so that none sees another's."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
from tests.e2e.processes import Account, Running, free_port, onebus, write_config

TOKEN = "reverse-token-canary"
SECRET = "post-secret-canary"

Ports = dict[str, int]
Blocks = Iterator[tuple[str, dict[str, Any]]]
"""Accounts, each with what its `onebot.v11` says."""


class Up(SimpleNamespace):
    """A running `onebus up`, and the port of each account's bot."""

    process: Running
    base: str
    http: aiohttp.ClientSession
    ports: Ports
    config: Path

    def account(self, name: str, token: str = "") -> Account:
        return Account(self.http, self.base, name, token=token)


@asynccontextmanager
async def pushing(
    folder: Path, names: tuple[str, ...], blocks: Callable[[Ports], Blocks]
) -> AsyncIterator[Up]:
    """For bots of these names, until the block ends; no secret may be in what it printed."""
    ports = {name: free_port() for name in names}
    accounts = dict(blocks(ports))
    config = write_config(
        folder / "config.yaml",
        **{f"sandbox__{name}": {"onebot.v11": block} for name, block in accounts.items()},
    )
    async with (
        onebus("up", "-c", str(config), "--data-dir", str(folder / "data")) as process,
        aiohttp.ClientSession() as http,
    ):
        line = await process.says("HTTP  ")
        base = line.split()[1].partition("/sandbox/")[0]
        there = Up(process=process, base=base, http=http, ports=ports, config=config)
        for name, block in accounts.items():
            await there.account(name, block.get("access_token", "")).online()
        yield there
    for secret in (TOKEN, SECRET):
        assert secret not in process.output
