"""What the pods of an overlay run, run as processes of this machine: with the very configurations
and Secrets that their pods would have, and each under its own user at NATS.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from tests.deploy.rendered import BIN, K8S, Rendered, render
from tests.deploy.rules_config import NATS_CONFIG, config_here, lay_out
from tests.e2e.processes import free_port, onebus, spawn

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(180)]

READY_S = 30


@asynccontextmanager
async def nats(rendered: Rendered, folder: Path) -> AsyncIterator[str]:
    """Its nodes, with ports and paths of this machine; where clients find them."""
    count = rendered.workload("nats").spec["replicas"]
    clients, peers = ([free_port() for _ in range(count)] for _ in range(2))
    async with AsyncExitStack() as stack:
        for index, client in enumerate(clients):
            file = _node(rendered, folder / str(index), client, peers[index])
            for path in file.parent.rglob("routes.conf"):
                path.write_text(_routes(path.read_text(), peers))
            await stack.enter_async_context(_running(file, index))
        yield ",".join(f"nats://127.0.0.1:{client}" for client in clients)


def _node(rendered: Rendered, folder: Path, client: int, peer: int) -> Path:
    """The configuration of a node, laid out for this machine."""
    place = lay_out(rendered, rendered.workload("nats"), folder)[NATS_CONFIG]
    here = {
        "0.0.0.0:4222": f"127.0.0.1:{client}",
        "0.0.0.0:8222": f"127.0.0.1:{free_port()}",
        "0.0.0.0:6222": f"127.0.0.1:{peer}",
        "/run/nats": str(folder),
        "/data": str(folder / "data"),
    }
    for file in place.glob("*.conf"):
        text = file.read_text()
        for there, ours in here.items():
            text = text.replace(there, ours)
        file.write_text(text)
    return place / "nats.conf"


def _routes(text: str, peers: Sequence[int]) -> str:
    for index, port in enumerate(peers):
        text = text.replace(f"nats-{index}.nats-peers:6222", f"127.0.0.1:{port}")
    return text


@asynccontextmanager
async def _running(file: Path, index: int) -> AsyncIterator[None]:
    arguments = ("--config", str(file))
    name = f"nats-{index}"
    server = await spawn(name, str(BIN / "nats-server"), *arguments, env={"POD_NAME": name})
    try:
        await server.says("Listening for client connections")
        yield
    finally:
        await server.kill()


def command(rendered: Rendered, name: str, folder: Path) -> list[str]:
    """What the container of a service is started with, for files and a port of this machine."""
    workload = rendered.workload(name)
    file = config_here(lay_out(rendered, workload, folder / name))
    text = file.read_text().replace("host: 0.0.0.0", "host: 127.0.0.1")
    file.write_text(text.replace("port: 6727", "port: 0"))
    return [str(file) if word.startswith("/etc/") else word for word in workload.command]


async def ready(http: aiohttp.ClientSession, rendered: Rendered, name: str, base: str) -> None:
    """Wait until its readiness probe would pass."""
    probe = rendered.workload(name).containers[0]["readinessProbe"]["httpGet"]["path"]
    async with asyncio.timeout(READY_S):
        while True:
            async with http.get(base + probe) as response:
                if response.status == 200:
                    return
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("overlay", ["plain", "prod"])
async def test_the_services_of_an_overlay_work_together(
    tree: Path, tmp_path: Path, overlay: str
) -> None:
    rendered = render(tree, overlay)
    services = [w for w in rendered.workloads("Deployment") if w.name != "gateway"]
    assert len(services) == 5
    pods = [w.name for w in services for _ in range(w.spec.get("replicas", 1))]
    assert pods.count("connector-sandbox") == 2
    async with nats(rendered, tmp_path / "nats") as url, AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        env, bases = {"NATS_URL": url}, defaultdict[str, list[str]](list)
        async with onebus(*command(rendered, "setup", tmp_path), env=env) as setup:
            assert await setup.ended(90) == 0, setup.output
        for name in pods:
            arguments = command(rendered, name, tmp_path)
            role = await stack.enter_async_context(onebus(*arguments, env=env))
            port = (await role.says("listening on")).rpartition(":")[2]
            bases[name].append(f"http://127.0.0.1:{port}")
        for name in bases:
            for base in bases[name]:
                await ready(http, rendered, name, base)
        await _speak(http, tree / K8S / "secrets", bases)
        operator = ("dead-letters", "-c", str(tree / K8S / "operator.yaml"))
        async with onebus(*operator, env=env) as looking:
            assert await looking.ended() == 0, looking.output
            assert "no dead letters" in looking.output


async def _speak(
    http: aiohttp.ClientSession, secrets: Path, bases: Mapping[str, Sequence[str]]
) -> None:
    """A message by the bot, which a person may read at either replica of the connector."""
    send = f"{bases['frontend-http'][0]}/sandbox/demo/onebot/v11/send_private_msg"
    body = {"user_id": "alice", "message": "Hello"}
    async with http.post(send, json=body) as refused:
        assert refused.status == 401
    async with http.post(send, json=body, headers=_token(secrets, "onebot")) as answer:
        assert (await answer.json())["status"] == "ok"
    for base in bases["connector-sandbox"]:
        read = f"{base}/sandbox/demo/api/messages?user=alice"
        async with http.get(read, headers=_token(secrets, "sandbox")) as answer:
            assert "Hello" in await answer.text()


def _token(secrets: Path, whose: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {(secrets / whose / 'access-token').read_text()}"}
