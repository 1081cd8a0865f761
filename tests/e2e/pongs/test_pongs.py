"""Progress by pong stands on this: real clients answer pings, and after what came before them."""

import pytest
from tests.e2e.pongs.busy import CLIENTS

WAIT_S = 3
BLOCK_S = 1


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_pong_comes_while_a_handler_waits_and_after_what_was_sent(client: str) -> None:
    async with CLIENTS[client]() as busy:
        await busy.began(await busy.event(f"await {WAIT_S}"))
        assert await busy.ping() < WAIT_S - 1
        await busy.began(await busy.event(f"block {BLOCK_S}"))
        await busy.ping()
        sent = [await busy.event("go") for _ in range(20)]
        await busy.ping()
        for message_id in sent:
            await busy.began(message_id)
