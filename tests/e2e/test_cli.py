"""The command line, as a person meets it: what is wrong, where, and what to do about it."""

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.processes import BIN, onebus, write_config

PROBLEMS = {
    "misspelt": ("prot: 6727\nsandbox.demo: {}\n", [(1, "prot", "did you mean port?")]),
    "misspelt inside": (
        "sandbox.demo:\n  onebot.v11:\n    use_htp: true\n",
        [(3, "use_htp", "did you mean use_http?")],
    ),
    "bad value": (
        "general:\n  onebot.v11:\n    heartbeat_interval: soon\nsandbox.demo: {}\n",
        [(3, "heartbeat_interval", "expected a whole number")],
    ),
    "unset variable": (
        "sandbox.demo:\n  onebot.v11:\n    access_token: ${ONEBUS_TEST_UNSET}\n",
        [(3, "access_token", "export ONEBUS_TEST_UNSET=")],
    ),
    "tab": ("sandbox.demo:\n\tonebot.v11: {}\n", [(2, "tab", "replace the tab by spaces")]),
    "unknown platform": ("sandbx.demo: {}\n", [(1, "sandbx", "did you mean sandbox?")]),
    "not yet": (
        (
            "sandbox.demo:\n  onebot.v11:\n"
            "    http_reverse: [{url: http://localhost:1/, replay_window: 60}]\n"
        ),
        [(3, "http_reverse[0].replay_window", "a minute is 60000")],
    ),
    "open to all": (
        "host: 0.0.0.0\nsandbox.demo: {access_token: $${x}}\n",
        [(2, "onebot.v11.access_token", "set access_token to a secret")],
    ),
    "all of it": (
        (
            "prot: 1\ngeneral:\n  onebot.v11:\n    heartbeat_interval: soon\n"
            "    access_token: ${ONEBUS_TEST_UNSET}\nsandbox.demo:\n\tonebot.v11: {}\n"
        ),
        [
            (1, "prot", "did you mean port?"),
            (4, "heartbeat_interval", "expected a whole number"),
            (5, "access_token", "ONEBUS_TEST_UNSET is not set"),
            (7, "tab", "replace the tab by spaces"),
        ],
    ),
}


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`onebus ARGUMENTS`, which ends by itself."""
    return subprocess.run(
        [BIN / "onebus", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The line with which a command refuses; there is nothing else but lines of the log."""
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    said = [line for line in lines if line.startswith("onebus: ")]
    assert len(said) == 1, done.stderr
    assert lines[-1] == said[0]
    assert not [line for line in lines if " warning " in line or " error " in line], done.stderr
    return said[0]


@pytest.mark.parametrize("name", PROBLEMS)
def test_check_names_file_line_key_and_what_to_do(tmp_path: Path, name: str) -> None:
    text, expected = PROBLEMS[name]
    (tmp_path / "bots.yaml").write_text(text)
    (tmp_path / "bots.yaml").chmod(0o600)
    done = run("check", "bots.yaml", cwd=tmp_path)
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    for number, key, advice in expected:
        found = [line for line in lines if line.startswith(f"bots.yaml:{number}: ")]
        assert any(key in line and advice in line for line in found), done.stderr
    assert len(lines) == len(expected), done.stderr
    assert done.stdout == f"bots.yaml: {len(expected)} to mend\n"


def test_up_refuses_what_check_finds(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(PROBLEMS["misspelt"][0])
    done = run("up", "--data-dir", "data", cwd=tmp_path)
    assert "config.yaml:1: prot: unknown key; did you mean port?" in refused(done)
    assert not (tmp_path / "data").exists()


def test_up_refuses_to_serve_everybody_without_a_token(tmp_path: Path) -> None:
    """S1: names the key and a fix."""
    (tmp_path / "config.yaml").write_text("host: 0.0.0.0\nsandbox.demo: {access_token: $${x}}\n")
    line = refused(run("up", "--data-dir", "data", cwd=tmp_path))
    assert "sandbox.demo.onebot.v11.access_token" in line
    assert "openssl rand -hex 32" in line
    assert "127.0.0.1" in line


def test_up_refuses_copies_that_its_own_server_cannot_keep(tmp_path: Path) -> None:
    write_config(tmp_path / "config.yaml", bus={"replicas": 3})
    line = refused(run("up", "--data-dir", "data", cwd=tmp_path))
    assert "bus.replicas" in line
    assert "bus.url" in line


def test_a_good_file_is_fine(tmp_path: Path) -> None:
    write_config(tmp_path / "config.yaml")
    done = run("check", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "config.yaml is fine\n", "")


@pytest.mark.parametrize("command", ["up", "connector sandbox", "frontend http", "bus setup"])
def test_a_file_that_is_not_there(tmp_path: Path, command: str) -> None:
    line = refused(run(*command.split(), "-c", "nowhere.yaml", cwd=tmp_path))
    assert "nowhere.yaml: cannot be read: No such file" in line
    assert "-c FILE" in line


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        ("connector nosuch", "known: onebot11, sandbox"),
        ("connector sandbo", "did you mean sandbox?"),
        ("connector wechat", "no account of wechat"),
        ("frontend nosuch", "http, http-post, ws, ws-reverse"),
        ("frontend http nosuch", "http, http-post, ws, ws-reverse"),
    ],
)
def test_a_role_that_there_is_not(tmp_path: Path, command: str, advice: str) -> None:
    write_config(tmp_path / "config.yaml")
    line = refused(run(*command.split(), cwd=tmp_path))
    assert command.rsplit(maxsplit=1)[-1] in line
    assert advice in line


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        write_config(tmp_path / "config.yaml", port=port)
        line = refused(run("up", "--data-dir", "data", cwd=tmp_path))
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use; " in line
    assert "`port`" in line


async def test_data_that_is_in_use(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.yaml")
    data = tmp_path / "data"
    async with onebus("up", "-c", str(config), "--data-dir", str(data)) as first:
        await first.says("the log keeps")
        write_config(tmp_path / "second.yaml")
        line = refused(run("up", "-c", "second.yaml", "--data-dir", str(data), cwd=tmp_path))
        assert f"{data} is in use by another `onebus up` (process {first.process.pid})" in line
        assert "--data-dir" in line
        assert first.process.returncode is None
    assert first.process.returncode == 0
    assert "Traceback" not in first.output


def test_data_that_cannot_be_kept(tmp_path: Path) -> None:
    write_config(tmp_path / "config.yaml")
    (tmp_path / "file").write_text("")
    for where in ("file", "file/below", "/proc/onebus"):
        line = refused(run("up", "--data-dir", where, cwd=tmp_path))
        assert f"data cannot be kept in {where}" in line


async def test_no_nats_is_said_without_the_password(tmp_path: Path) -> None:
    url = "nats://someone:nats-canary@127.0.0.1:1"
    config = write_config(tmp_path / "config.yaml", bus={"url": url})
    config.chmod(0o600)
    async with onebus("frontend", "http", "-c", str(config)) as frontend:
        await frontend.says("warning NATS at 127.0.0.1:1: ")
    assert frontend.process.returncode == 0
    assert "nats-canary" not in frontend.output
    assert "Traceback" not in frontend.output


def test_usage_errors_are_two(tmp_path: Path) -> None:
    for command in ([], ["nosuch"], ["connector"], ["bus"]):
        done = run(*command, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("usage: onebus")


def test_the_schema_is_a_schema_and_the_documented_files_fit_it(tmp_path: Path) -> None:
    done = run("schema", cwd=tmp_path)
    assert done.returncode == 0
    schema: dict[str, Any] = json.loads(done.stdout)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert {"host", "port", "general"} <= schema["properties"].keys()
    assert not list(dangling(schema, schema))
    good = yaml.safe_load(write_config(tmp_path / "c.yaml").read_text())
    known = schema["properties"].keys()
    assert {key for key in good if "." not in key} <= known
    assert "prot" not in known
    assert schema["additionalProperties"] is False


def dangling(schema: dict[str, Any], value: Any) -> Any:
    """References that lead nowhere."""
    if isinstance(value, list):
        for item in value:
            yield from dangling(schema, item)
    elif isinstance(value, dict):
        if isinstance(reference := value.get("$ref"), str):
            target: Any = schema
            for part in reference.removeprefix("#/").split("/"):
                target = target.get(part.replace("~1", "/").replace("~0", "~"), {})
            if not target:
                yield reference
        for item in value.values():
            yield from dangling(schema, item)
