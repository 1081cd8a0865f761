"""Backup and restore by the very commands of docs/deployment.md, and what a restore voids."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import aiohttp
import pytest
from tests.compose.page import commands, run
from tests.compose.stack import ROOT, Stack, running
from tests.e2e.faults.stage import stable_port
from tests.e2e.processes import Account

pytestmark = [pytest.mark.compose, pytest.mark.timeout(300)]

NOT_FOUND = 10002

Runs: TypeAlias = Callable[[str], str]


@pytest.fixture(scope="module")
def stack(image: str) -> Iterator[Stack]:
    assert image
    with running(Stack("onebus-backup", stable_port(), {})) as started:
        yield started


@asynccontextmanager
async def account_of(stack: Stack) -> AsyncIterator[Account]:
    async with aiohttp.ClientSession() as http:
        account = Account(http, stack.base)
        await account.online()
        yield account


async def says(account: Account, text: str) -> int:
    """The bot writes to a person; the message's number."""
    sent = await account.ok("send_private_msg", user_id="alice", message=text)
    return int(sent["message_id"])


async def reads(account: Account, number: int) -> str:
    """The text of a message by its number; empty if there is none."""
    answer = await account.call("get_msg", message_id=number)
    if answer["retcode"] == NOT_FOUND:
        return ""
    assert answer["retcode"] == 0, answer
    return str(answer["data"]["message"])


def as_the_page_has_it(stack: Stack, folder: Path) -> tuple[Sequence[str], Sequence[str], Runs]:
    """The lines that back up and those that restore, and what runs one."""
    lines = commands("docs/deployment.md", "Backup and restore", "docker compose ")
    assert len(lines) == 7, lines
    where = {
        **stack.variables,
        "COMPOSE_PROJECT_NAME": stack.project,
        "COMPOSE_FILE": str(ROOT / "docker-compose.yml"),
    }
    return lines[:3], lines[3:], partial(run, environment=where, folder=folder)


async def test_what_was_backed_up_is_there_again(stack: Stack, tmp_path: Path) -> None:
    backup, (stop, unpack, new_log, up), runs = as_the_page_has_it(stack, tmp_path)
    async with account_of(stack) as account:
        before = await says(account, "before")
        for line in backup:
            runs(line)
        await account.online()
        after = [await says(account, f"after {n}") for n in range(3)]

    for line in (stop, unpack, up):
        runs(line)
    async with account_of(stack) as account:
        assert await reads(account, before) == "before"
        assert [await reads(account, number) for number in after] == ["", "", ""]
        again = await says(account, "another one")
        assert again == after[0], "the page warns of numbers that are given out again"

    for line in (stop, unpack, new_log, up):
        runs(line)
    async with account_of(stack) as account:
        assert [await reads(account, number) for number in (before, *after)] == ["", "", "", ""]
        fresh = await says(account, "in a new log")
        assert fresh > max(before, *after)
        assert await reads(account, fresh) == "in a new log"
