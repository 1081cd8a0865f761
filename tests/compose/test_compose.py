"""docker-compose.yml on a real engine: the README's first steps, and what must not be reachable.

`make compose-test` runs it, with an engine and stand-in images where the machine has none.
"""

import hashlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import aiohttp
import pytest
from msgspec import Struct
from msgspec.structs import replace

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
LOG = ROOT / "build" / "compose.log"
PORT_VARIABLES = ("HTTP_PORT", "WS_PORT", "SANDBOX_PORT", "WECHAT_PORT")
VARIABLES = {
    "ONEBUS_IMAGE": "onebus-test",
    "ONEBUS_CONFIG": "deploy/compose/config.yaml",
    "ONEBUS_TOKEN": "",
}
API = "sandbox/demo/api"
BOT = "sandbox/demo/onebot/v11"


class Stack(Struct, frozen=True):
    """The running services: where they are published, and how to speak of them to compose."""

    ports: Mapping[str, int]
    environment: Mapping[str, str]

    def compose(self, *arguments: str) -> str:
        """Run docker compose on this project; what it printed, or a failure that shows it."""
        done = subprocess.run(
            [*self._command(), *arguments],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, *services: str) -> None:
        """Start services (all without a profile when none are named) and wait until they listen."""
        try:
            self.compose("up", "--detach", "--wait", "--wait-timeout", "120", *services)
        except AssertionError as failure:
            raise AssertionError(
                f"{failure}\n{self.compose('logs', '--tail', '30', *services)}"
            ) from failure

    def wait_for_line(self, service: str, text: str) -> None:
        """Return when a service has logged a line with this text."""
        command = [*self._command(), "logs", "--follow", "--no-log-prefix", service]
        environment = {**os.environ, **self.environment}
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        ) as logs:
            assert logs.stdout
            found = any(text in line for line in logs.stdout)
            # The whole group: older docker clients do not pass SIGTERM on to compose.
            os.killpg(logs.pid, signal.SIGKILL)
        assert found, f"{service} ended without {text!r}"

    def down(self, *arguments: str) -> None:
        """Remove the containers; what they logged is added to build/compose.log."""
        LOG.parent.mkdir(exist_ok=True)
        with LOG.open("a") as log:
            log.write(self.compose("--profile", "*", "logs", "--no-color"))
        try:
            self.compose("--profile", "*", "down", *arguments)
        except AssertionError as failure:
            # Engines of version 20.10 now and then keep the endpoint of a container that is gone,
            # until they are restarted (https://github.com/moby/moby/issues/43286): a network stays.
            left = self.compose("--profile", "*", "ps", "--all", "--quiet")
            if "has active endpoints" not in str(failure) or left:
                raise

    def _command(self) -> list[str]:
        # A developer's own .env must not decide what is tested.
        return ["docker", "compose", "--project-name", "onebus-test", "--env-file", os.devnull]

    def url(self, variable: str, path: str) -> str:
        """An address on this machine of a service, by the name of its port's variable."""
        return f"http://127.0.0.1:{self.ports[variable]}/{path}"


def free_ports() -> dict[str, int]:
    """A free port for each variable, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in PORT_VARIABLES]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return dict(zip(PORT_VARIABLES, ports, strict=True))


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """All services without a profile, built from this tree, on ports and volumes of their own."""
    ports = free_ports()
    variables = {name: str(port) for name, port in ports.items()}
    running = Stack(ports, {**VARIABLES, **variables})
    running.down("--volumes", "--remove-orphans")  # of a run that was killed
    LOG.unlink(missing_ok=True)
    try:
        running.compose("build", "--quiet")
        running.start()
        running.wait_for_line("connector-sandbox", "online as")
        yield running
    finally:
        running.down("--volumes", "--remove-orphans")


def call(url: str, body: Any = None) -> Any:
    """POST a JSON body, or GET without one; the JSON answer."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"} if data else {})
    with urlopen(request, timeout=30) as response:
        return json.load(response)


def said(stack: Stack, user: str) -> list[tuple[bool, str]]:
    """The texts in a person's conversation with the bot, and whether the bot wrote them."""
    answer = call(stack.url("SANDBOX_PORT", f"{API}/messages?user={user}"))
    return [
        (message["from_bot"], "".join(part["data"].get("text", "") for part in message["message"]))
        for message in answer["messages"]
    ]


def test_the_bot_writes_to_a_person(stack: Stack) -> None:
    body = {"user_id": "alice", "message": "Hello"}
    answer = call(stack.url("HTTP_PORT", f"{BOT}/send_private_msg"), body)
    assert answer["status"] == "ok", answer
    number = answer["data"]["message_id"]
    assert isinstance(number, int)
    assert said(stack, "alice") == [(True, "Hello")]
    got = call(stack.url("HTTP_PORT", f"{BOT}/get_msg"), {"message_id": number})
    assert got["status"] == "ok", got
    assert got["data"]["message_id"] == number
    assert got["data"]["message"] == "Hello"


async def test_a_bot_hears_a_person_and_answers(stack: Stack) -> None:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as session,
        session.ws_connect(stack.url("WS_PORT", BOT)) as bot,
    ):
        hello = await bot.receive_json(timeout=30)
        assert (hello["meta_event_type"], hello["sub_type"]) == ("lifecycle", "connect")
        call(stack.url("SANDBOX_PORT", f"{API}/messages"), {"user": "bob", "message": "Hi bot"})
        event = await bot.receive_json(timeout=30)
        assert (event["post_type"], event["raw_message"]) == ("message", "Hi bot")
        params = {"user_id": event["user_id"], "message": "Hi Bob"}
        await bot.send_json({"action": "send_msg", "params": params, "echo": "e"})
        answer = await bot.receive_json(timeout=30)
        assert (answer["echo"], answer["status"]) == ("e", "ok"), answer
    assert said(stack, "bob") == [(False, "Hi bot"), (True, "Hi Bob")]


def test_only_the_loopback_of_this_machine_is_published(stack: Stack) -> None:
    lines = stack.compose("ps", "--format", "json").splitlines()
    published = {
        (service["Service"], port["URL"], port["PublishedPort"])
        for service in map(json.loads, lines)
        for port in service["Publishers"] or ()
        if port["PublishedPort"]
    }
    assert published == {
        ("frontend-http", "127.0.0.1", stack.ports["HTTP_PORT"]),
        ("frontend-ws", "127.0.0.1", stack.ports["WS_PORT"]),
        ("connector-sandbox", "127.0.0.1", stack.ports["SANDBOX_PORT"]),
    }


def test_nats_refuses_who_has_no_password(stack: Stack) -> None:
    program = (
        "import socket; s = socket.create_connection(('nats', 4222), 5); s.settimeout(5);"
        "s.sendall(b'CONNECT {}\\r\\nPING\\r\\n');"
        "print(b''.join(iter(lambda: s.recv(4096), b'')).decode())"
    )
    answer = stack.compose("exec", "-T", "frontend-http", "python", "-c", program)
    assert "Authorization Violation" in answer
    assert "PONG" not in answer


def test_services_run_without_privileges(stack: Stack) -> None:
    assert stack.compose("exec", "-T", "frontend-ws", "id", "-u").strip() == "10001"


def test_messages_outlive_the_containers(stack: Stack) -> None:
    body = {"user_id": "carol", "message": "Still here?"}
    sent = call(stack.url("HTTP_PORT", f"{BOT}/send_private_msg"), body)
    stack.down()
    stack.start()
    stack.wait_for_line("connector-sandbox", "online as")
    wanted = {"message_id": sent["data"]["message_id"]}
    got = call(stack.url("HTTP_PORT", f"{BOT}/get_msg"), wanted)
    assert got["data"]["message"] == "Still here?"
    assert said(stack, "carol") == [(True, "Still here?")]


def test_the_documented_wechat_account_takes_webhooks(stack: Stack, tmp_path: Path) -> None:
    text = (ROOT / "deploy/compose/config.yaml").read_text()
    head, documented = text.split("# wechat.my_mp:")
    account = "wechat.my_mp:" + documented.replace("\n# ", "\n")
    config = tmp_path / "config.yaml"
    config.write_text(head + account + "  api_base: http://127.0.0.1:9\n")
    config.chmod(0o644)
    with_wechat = replace(
        stack,
        environment={
            **stack.environment,
            "ONEBUS_CONFIG": str(config),
            "COMPOSE_PROFILES": "wechat",
            "WECHAT_APP_ID": "wx0123456789abcdef",
            "WECHAT_APP_SECRET": "not-a-secret",
            "WECHAT_TOKEN": "a-token",
            "WECHAT_AES_KEY": "a" * 43,
        },
    )
    with_wechat.start("connector-wechat")
    query = {"timestamp": str(int(time.time())), "nonce": "n", "echostr": "it is us"}
    parts = sorted(["a-token", query["timestamp"], query["nonce"]])
    query["signature"] = hashlib.sha1("".join(parts).encode()).hexdigest()
    url = stack.url("WECHAT_PORT", f"wechat/my_mp/webhook?{urlencode(query)}")
    with urlopen(url, timeout=30) as response:
        assert response.read() == b"it is us"


def test_a_service_stops_when_it_is_asked_to(stack: Stack) -> None:
    stack.compose("stop", "frontend-http", "frontend-ws", "connector-sandbox")
    lines = stack.compose("ps", "--all", "--format", "json").splitlines()
    codes = {s["Service"]: s["ExitCode"] for s in map(json.loads, lines) if s["State"] == "exited"}
    assert set(codes.values()) == {0}, codes
