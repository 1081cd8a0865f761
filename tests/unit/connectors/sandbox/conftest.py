"""A sandbox in memory: two replicas of one account, served over HTTP."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from connectors.sandbox import Config, Connector
from onebus.ids import Account, AccountId, Platform
from onebus.testing.memory import Memory, MemoryKit

DEMO = Account(Platform("sandbox"), AccountId("demo"))
BASE = "/sandbox/demo"

Client = TestClient[web.Request, web.Application]


class Clock:
    """Unix seconds, which a test moves."""

    def __init__(self) -> None:
        self.now_s = 1_767_225_600.0

    def __call__(self) -> float:
        self.now_s += 0.001
        return self.now_s


class Sandbox:
    """One installation: its log and state, and as many replicas as a test wants."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http
        self.memory = Memory()
        self.clock = Clock()
        self.clients: list[Client] = []

    def connector(self, config: Config | None = None) -> Connector:
        kit = MemoryKit(self.memory, DEMO, self.http, self.clock)
        return Connector(config or Config(), kit)

    async def serve(self, connector: Connector) -> Client:
        """Serve a replica as its host does."""
        app = web.Application()
        app.add_routes(
            web.RouteDef(route.method, BASE + route.path, route.handler, route.kwargs)
            for route in connector.routes()
        )
        client = TestClient(TestServer(app))
        await client.start_server()
        self.clients.append(client)
        return client


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with aiohttp.ClientSession() as http:
        running = Sandbox(http)
        yield running
        for client in running.clients:
            await client.close()


@pytest.fixture
def connector(sandbox: Sandbox) -> Connector:
    return sandbox.connector()


@pytest.fixture
async def client(sandbox: Sandbox, connector: Connector) -> Client:
    return await sandbox.serve(connector)


@pytest.fixture
async def lobby(client: Client) -> Client:
    """A group of which alice is the owner and bob a member."""
    for user in ("alice", "bob"):
        body = {"user": user, "message": "x", "group": "lobby"}
        async with client.post(f"{BASE}/api/messages", json=body) as response:
            assert response.status == 200
    return client
