"""A nats-server on which each service has its own user, with the permissions that onebus prints."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e.nats_server import NatsServer
from tests.e2e.processes import BIN, spawn

from onebus import permissions
from onebus.bus import BusOptions

ROOT = "root"
SERVICES = permissions.services(["sandbox", "wechat"])


class GuardedNats(NatsServer):
    """Its `options` are those of a user who may do everything, for tests to look behind."""

    def __init__(self, folder: Path, *, more: str = "", sync: str = "2m", scheme: str = "nats"):
        self.credentials = folder / "credentials"
        self._scheme = scheme
        super().__init__(folder, sync=sync, auth=f'include "auth.conf"\n{more}')

    @property
    def options(self) -> BusOptions:
        return self.options_of(ROOT)

    def password_of(self, service: str) -> str:
        return (self.credentials / service / "password").read_text()

    def options_of(self, service: str) -> BusOptions:
        password = "root-canary" if service == ROOT else self.password_of(service)
        return BusOptions(f"{self._scheme}://127.0.0.1:{self.port}", service, password)

    def settings_of(self, service: str) -> dict[str, str]:
        """The `bus` block of a service's configuration, as containers have it."""
        folder = self.credentials / service
        user, password = (f"${{file:{folder / name}}}" for name in ("user", "password"))
        return {"url": self.options_of(ROOT).url, "user": user, "password": password}

    async def draw(self, *services: str) -> str:
        """Run the command that an administrator runs, and take its file."""
        command = (str(BIN / "onebus"), "bus", "credentials", str(self.credentials), *services)
        running = await spawn("credentials", *command)
        assert await running.ended() == 0, running.output
        text = (self.credentials / "server/auth.conf").read_text()
        root = f'users: [\n{{ user: {ROOT}, password: "root-canary" }}\n'
        (self._config.parent / "auth.conf").write_text(text.replace("users: [\n", root, 1))
        return running.output

    @property
    def violations(self) -> list[str]:
        """What the server refused to its users, since it was started last."""
        assert self.running
        return [line for line in self.running.lines if "Violation" in line]


@asynccontextmanager
async def guarded_nats(
    folder: Path, services: Sequence[str] = SERVICES, *, more: str = "", scheme: str = "nats"
) -> AsyncIterator[GuardedNats]:
    """A server with streams and buckets, made by `setup`."""
    folder.mkdir(parents=True, exist_ok=True)
    server = GuardedNats(folder, more=more, scheme=scheme)
    await server.draw(*services)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()
