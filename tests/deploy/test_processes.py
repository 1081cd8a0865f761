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
    """Its server, with a port and paths of this machine; where it is."""
    places = lay_out(rendered, rendered.workload("nats"), folder)
    port, file = free_port(), places[NATS_CONFIG] / "nats.conf"
    text = file.read_text().replace("0.0.0.0:4222", f"127.0.0.1:{port}")
    text = text.replace("0.0.0.0:8222", f"127.0.0.1:{free_port()}")
    text = text.replace("/run/nats", str(folder)).replace("/data", str(folder / "data"))
    file.write_text(text)
    command = (str(BIN / "nats-server"), "--config", str(file))
    server = await spawn("nats-server", *command, env={"POD_NAME": "nats-0"})
    try:
        await server.says("Server is ready")
        yield f"nats://127.0.0.1:{port}"
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


async def test_the_services_of_an_overlay_work_together(tree: Path, tmp_path: Path) -> None:
    rendered = render(tree, "plain")
    services = [w for w in rendered.workloads("Deployment") if w.name != "gateway"]
    assert len(services) == 5
    pods = [w.name for w in services for _ in range(w.spec.get("replicas", 1))]
    assert pods.count("connector-sandbox") == 2
    async with nats(rendered, tmp_path / "nats") as url, AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        env, bases = {"NATS_URL": url}, defaultdict[str, list[str]](list)
        async with onebus(*command(rendered, "setup", tmp_path), env=env) as setup:
            assert await setup.ended() == 0, setup.output
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
