"""What a process does with errors that nobody waits for."""

import asyncio
import logging
import os
import signal
import socket

import pytest

from onebus.service import Role, run_roles


class Leaves(Role):
    """Leaves two errors behind, and then the process is asked to stop."""

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for error in (socket.gaierror(-2, "Name or service not known"), ValueError("of ours")):
            loop.call_exception_handler({"message": "never retrieved", "exception": error})
        os.kill(os.getpid(), signal.SIGTERM)
        await super().run()


async def test_a_name_that_is_not_found_is_no_error_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    await asyncio.wait_for(run_roles([Leaves()], [], lambda: None), 5)
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [str(record.exc_info[1]) for record in errors if record.exc_info] == ["of ours"]
