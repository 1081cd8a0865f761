"""An external nats-server for end-to-end tests: one that outlives the roles, and can be killed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e.processes import BIN, Running, free_port, spawn

from onebus.bus import Bus, BusOptions
from onebus.setup import Storage, set_up

USER, PASSWORD = "roles", "nats-password-canary"


class NatsServer:
    """nats-server on one port and one directory, which it keeps over restarts.

    `options` are further ones of its JetStream; `sync` is when it is written to the disk; `auth` is
    what its configuration says of users, in place of the one who may do everything.
    """

    def __init__(
        self,
        folder: Path,
        options: str = "",
        port: int = 0,
        *,
        sync: str = "always",
        auth: str = f'authorization {{ user: {USER}, password: "{PASSWORD}" }}',
    ) -> None:
        self.port = port or free_port()
        self._config = folder / "nats.conf"
        self._config.write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            f"{auth}\n"
            f'jetstream {{ store_dir: "{folder / "jetstream"}", sync_interval: {sync}\n'
            f"{options} }}\n"
            'ping_interval: "2s"\nping_max: 2\n'
        )
        self.running: Running | None = None

    @property
    def options(self) -> BusOptions:
        return BusOptions(f"nats://127.0.0.1:{self.port}", USER, PASSWORD)

    @property
    def settings(self) -> dict[str, str]:
        """The `bus` block of a configuration."""
        return {"url": self.options.url, "user": USER, "password": PASSWORD}

    async def start(self) -> None:
        command = (str(BIN / "nats-server"), "--config", str(self._config))
        self.running = await spawn("nats-server", *command)
        await self.running.says("Server is ready")

    async def kill(self) -> None:
        """`kill -9`."""
        assert self.running
        await self.running.kill()

    async def set_up(self, storage: Storage | None = None) -> None:
        async with Bus(self.options, "test") as bus:
            await bus.wait_ready(10)
            await set_up(bus, storage or Storage())


@asynccontextmanager
async def nats_server(
    folder: Path, *, port: int = 0, storage: Storage | None = None, sync: str = "always"
) -> AsyncIterator[NatsServer]:
    """A server with streams and buckets."""
    folder.mkdir(parents=True, exist_ok=True)
    server = NatsServer(folder, port=port, sync=sync)
    await server.start()
    try:
        await server.set_up(storage)
        yield server
    finally:
        await server.kill()
