"""What the containers may do, who can reach them, and which secrets they see."""

import asyncio
import hashlib
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest
from tests.compose import reach
from tests.compose.stack import CONFIG, SPEAKS_TO_NATS, Stack, docker, run_in, running
from tests.e2e.faults.stage import stable_port
from tests.e2e.processes import Account

pytestmark = [pytest.mark.compose, pytest.mark.timeout(300)]

SERVICES = {
    "gateway",
    "nats",
    "connector-sandbox",
    "connector-onebot11",
    "connector-telegram",
    "connector-wechat",
    "frontend-http",
    "frontend-ws",
    "frontend-ws-reverse",
    "frontend-http-post",
}
PLATFORMS = {
    ("connector-onebot11", "edge"),
    ("connector-telegram", "out"),
    ("connector-wechat", "out"),
}
"""What goes out into the world by itself."""
SECRETS = {
    "frontends": {"access_token": "canary-of-bots-8d1f7a02"},
    "sandbox": {"access_token": "canary-of-sandbox-1c94be55"},
    "onebot11": {"access_token": "canary-of-the-upstream-9c03"},
    "telegram": {"token": "12345678:canary-of-telegram-6b5e"},
    "wechat": {
        "app_secret": "canary-of-wechat-app-77e0",
        "token": "canary-of-wechat-token",
        "aes_key": "c" * 43,
    },
}


@pytest.fixture(scope="module")
def stack(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything that the compose file has, with secrets for all."""
    assert image
    folder = tmp_path_factory.mktemp("secrets")
    folder.chmod(0o755)
    for who, files in SECRETS.items():
        (folder / who).mkdir()
        for name, value in files.items():
            (folder / who / name).write_text(f"{value}\n")
    config = folder / "config.yaml"
    config.write_text(with_examples(CONFIG.read_text()))
    variables = {
        "ONEBUS_CONFIG": str(config),
        "ONEBUS_SECRETS": str(folder),
        "COMPOSE_PROFILES": "onebot11,telegram,wechat",
    }
    with running(Stack("onebus-hard", stable_port(), variables)) as started:
        yield started


def with_examples(shipped: str) -> str:
    """The shipped configuration with its examples of accounts taken in, and nobody called."""
    account = re.compile(r"^# ((?:onebot11|telegram|wechat)\.\w+:|  \w+: .*)$", re.MULTILINE)
    text = account.sub(r"\1", shipped)
    for line, key in (("telegram.my_bot:", "base_url"), ("wechat.my_mp:", "api_base")):
        assert line in text.splitlines()
        text = text.replace(line, f"{line}\n  {key}: http://127.0.0.1:9")
    return text


def everything(stack: Stack) -> dict[str, str]:
    """The container of each service that runs."""
    return {s["Service"]: s["Name"] for s in stack.services() if s["State"] == "running"}


def addresses(stack: Stack, container: str) -> dict[str, str]:
    """Its address in each network, by the network's name in the compose file."""
    networks = stack.inspect(container)["NetworkSettings"]["Networks"]
    return {name.removeprefix(f"{stack.project}_"): n["IPAddress"] for name, n in networks.items()}


def test_nobody_is_privileged(stack: Stack) -> None:
    assert set(everything(stack)) == SERVICES
    for container in everything(stack).values():
        process = Path("/proc", str(stack.inspect(container)["State"]["Pid"]))
        fields = dict(re.findall(r"^(\w+):\t(.*)$", (process / "status").read_text(), re.MULTILINE))
        assert "0" not in fields["Uid"].split(), container
        assert "0" not in fields["Gid"].split(), container
        for capabilities in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"):
            assert int(fields[capabilities], 16) == 0, (container, capabilities)
        assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2"), container
        mounts = [line.split() for line in (process / "mountinfo").read_text().splitlines()]
        (root,) = [mount for mount in mounts if mount[4] == "/"]
        assert "ro" in root[5].split(","), container


def test_everybody_has_limits(stack: Stack) -> None:
    for container in everything(stack).values():
        host = stack.inspect(container)["HostConfig"]
        assert 0 < host["Memory"] <= 1 << 30, container
        assert 0 < host["PidsLimit"] <= 128, container
        assert host["RestartPolicy"]["Name"] == "unless-stopped", container
        assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}, container
        assert not host["Privileged"], container


def test_this_machine_reaches_the_gateway_alone(stack: Stack) -> None:
    mine = socket.gethostbyname_ex(socket.gethostname())[2]
    where = {
        **everywhere(stack),
        **{f"{address}:{stack.port}": ("another address", address) for address in mine},
        f"127.0.0.1:{stack.port}": ("gateway", "published"),
    }
    reached = {where[address] for address in reach.reached([*where])}
    # Where there is a way out, an engine leaves the machine itself a way in to the container.
    assert reached == {("gateway", "published"), ("gateway", "edge"), *PLATFORMS}
    bindings = {
        service: stack.inspect(container)["HostConfig"]["PortBindings"]
        for service, container in everything(stack).items()
    }
    only = {"6727/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(stack.port)}]}
    assert {service: there for service, there in bindings.items() if there} == {"gateway": only}


def everywhere(stack: Stack) -> dict[str, tuple[str, str]]:
    """Each address and port that could be one of ours, with the service and the network."""
    return {
        f"{address}:{port}": (service, network)
        for service, container in everything(stack).items()
        for network, address in addresses(stack, container).items()
        for port in reach.PORTS
    }


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("edge", {"gateway", "connector-onebot11"}),
        ("out", set()),
        (
            "web",
            SERVICES - {"nats", "frontend-ws-reverse", "frontend-http-post"},
        ),
    ],
)
def test_a_stranger_on_a_network_reaches_what_serves_there(
    stack: Stack, network: str, expected: set[str]
) -> None:
    """Neither NATS nor its monitoring, by no address."""
    names = {
        f"{service}:{port}": (service, network) for service in SERVICES for port in reach.PORTS
    }
    where = names | everywhere(stack)
    program = Path(reach.__file__).read_text()
    begin = ("run", "--rm", "--network", f"{stack.project}_{network}", "--entrypoint", "python")
    found = docker(*begin, "onebus-test", "-c", program, *where).split()
    assert {where[one][0] for one in found} == expected
    assert all(one.endswith(":6727") for one in found), found
    assert {where[one][1] for one in found} <= {network}


def test_nats_refuses_who_has_no_password(stack: Stack) -> None:
    answer = run_in(everything(stack)["frontend-http"], SPEAKS_TO_NATS, "nats", "4222")
    assert "Authorization Violation" in answer
    assert "PONG" not in answer


def test_each_sees_its_own_secrets(stack: Stack) -> None:
    for service, container in everything(stack).items():
        kind, _, platform = service.partition("-")
        own = {"frontend": "frontends", "connector": platform}.get(kind, "")
        process = Path("/proc", str(stack.inspect(container)["State"]["Pid"]))
        folder = process / "root" / "run" / "secrets"
        found = {file.name: file.read_text().strip() for file in folder.glob("*")}
        assert found == SECRETS.get(own, {}), service
        environment = (process / "environ").read_text() + json.dumps(stack.inspect(container))
        for value in (value for files in SECRETS.values() for value in files.values()):
            assert value not in environment, service


def test_each_has_its_own_way_into_nats(stack: Stack) -> None:
    """One volume with a user and a password, that no other service has."""
    volumes = {}
    for service, container in everything(stack).items():
        mounts = stack.inspect(container)["Mounts"]
        for mount in mounts:
            if mount["Destination"] == "/run/onebus":
                volumes[service] = (mount["Name"], mount["RW"])
    assert {*volumes} == SERVICES - {"gateway"}
    assert len({name for name, _ in volumes.values()}) == len(volumes)
    assert not any(writable for _, writable in volumes.values())


def test_frontends_alone_have_the_key_of_addresses_of_files(stack: Stack) -> None:
    keys = {}
    for service, container in everything(stack).items():
        process = Path("/proc", str(stack.inspect(container)["State"]["Pid"]))
        file = process / "root" / "run" / "key" / "secret_key"
        if file.exists():
            keys[service] = file.read_text()
    assert {*keys} == {service for service in SERVICES if service.startswith("frontend-")}
    assert len({*keys.values()}) == 1
    assert all(len(key) >= 32 for key in keys.values())


async def test_tokens_are_asked_for_at_every_door(stack: Stack) -> None:
    async with aiohttp.ClientSession() as http:
        bots, people = (SECRETS[who]["access_token"] for who in ("frontends", "sandbox"))
        for path, token in (
            ("/sandbox/demo/onebot/v11/get_status", bots),
            ("/sandbox/demo/onebot/v11/events", bots),
            ("/sandbox/demo/api/messages?user=alice", people),
        ):
            async with http.get(stack.base + path) as answer:
                assert answer.status == 401, await answer.text()
            wrong = {"Authorization": "Bearer wrong"}
            async with http.get(stack.base + path, headers=wrong) as answer:
                assert answer.status in (401, 403), await answer.text()
            right = {"Authorization": f"Bearer {token}"}
            async with http.get(stack.base + path, headers=right) as answer:
                assert answer.status == 200, await answer.text()
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            await http.ws_connect(f"{stack.base}/sandbox/demo/onebot/v11")
        bot = await asyncio.wait_for(Account(http, stack.base, token=bots).ws(), 30)
        await bot.close()


async def test_the_documented_wechat_account_takes_webhooks(stack: Stack) -> None:
    secrets = SECRETS["wechat"]
    query = {"timestamp": str(int(time.time())), "nonce": "n", "echostr": "it is us"}
    parts = sorted([secrets["token"], query["timestamp"], query["nonce"]])
    query["signature"] = hashlib.sha1("".join(parts).encode()).hexdigest()
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{stack.base}/wechat/my_mp/webhook?{urlencode(query)}") as answer,
    ):
        assert await answer.text() == "it is us"


def test_nothing_logs_a_secret(stack: Stack) -> None:
    logged = stack.compose("logs", "--no-color")
    assert "connector-sandbox" in logged
    for value in (value for files in SECRETS.values() for value in files.values()):
        assert value not in logged
