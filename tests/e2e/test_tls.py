"""TLS towards NATS: whom we trust, whom the server trusts, and nothing said in plaintext."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from tests.e2e.guarded import GuardedNats, guarded_nats
from tests.e2e.processes import BIN, onebus, spawn, write_config

from onebus.bus import Bus, BusOptions
from onebus.errors import BusUnavailable, Misconfigured
from onebus.settings import TlsSettings


class Pki(SimpleNamespace):
    """A CA, a server's certificate and a client's."""

    folder: Path

    @property
    def ours(self) -> TlsSettings:
        return TlsSettings(*(str(self.folder / n) for n in ("ca.pem", "client.pem", "client.key")))


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def made(folder: Path) -> Pki:
    """A new one."""
    folder.mkdir()
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(
        folder,
        *("req", "-x509", *new, "-days", "2", "-subj", f"/CN={folder.name}"),
        *("-keyout", "ca.key", "-out", "ca.pem", "-addext", "keyUsage=critical,keyCertSign"),
    )
    for name in ("server", "client"):
        request = ("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(folder, "req", *new, *request, "-addext", "subjectAltName=IP:127.0.0.1")
        signed = ("-in", f"{name}.csr", "-out", f"{name}.pem", "-days", "2")
        by = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-copy_extensions", "copy")
        openssl(folder, "x509", "-req", *signed, *by)
    return Pki(folder=folder)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return made(tmp_path_factory.mktemp("pki") / "right")


@pytest.fixture
async def server(pki: Pki, tmp_path: Path) -> AsyncIterator[GuardedNats]:
    """One that asks for certificates of its clients too."""
    files = ", ".join(
        f'{key}: "{pki.folder / name}"'
        for key, name in (
            ("ca_file", "ca.pem"),
            ("cert_file", "server.pem"),
            ("key_file", "server.key"),
        )
    )
    tls = f"tls {{ {files}, verify: true }}"
    async with guarded_nats(tmp_path / "nats", more=tls, scheme="tls") as there:
        yield there


async def test_services_speak_tls_with_certificates_of_both_sides(
    server: GuardedNats, pki: Pki, tmp_path: Path
) -> None:
    def config(service: str) -> str:
        tls = msgspec.to_builtins(pki.ours)
        bus = {**server.settings_of(service), "tls": tls}
        return str(write_config(tmp_path / f"{service}.yaml", port=0, bus=bus))

    running = await spawn("set-up", str(BIN / "onebus"), "bus", "setup", "-c", config("setup"))
    assert await running.ended() == 0, running.output
    assert "created onebus_events" in running.output
    async with onebus("frontend", "ws", "-c", config("frontend-ws")) as frontend:
        await frontend.says("connected to NATS")
        before = len(frontend.lines)
        await server.kill()
        await frontend.says("lost NATS")
        await server.start()
        await frontend.says("connected to NATS", after=before)


async def refused(options: BusOptions) -> str:
    """Why there is no connection."""
    async with Bus(options, "test") as bus:
        with pytest.raises(BusUnavailable) as caught:
            await bus.wait_ready(2)
    return str(caught.value)


def with_tls(server: GuardedNats, tls: TlsSettings) -> BusOptions:
    return msgspec.structs.replace(server.options_of("frontend-ws"), tls=tls)


async def test_another_ca_is_not_trusted(server: GuardedNats, pki: Pki, tmp_path: Path) -> None:
    other = made(tmp_path / "other")
    tls = msgspec.structs.replace(pki.ours, ca=other.ours.ca)
    said = await refused(with_tls(server, tls))
    assert "bus.tls.ca must hold the CA that signed the server's certificate" in said
    assert "bus.tls.ca" in await refused(with_tls(server, TlsSettings()))


async def test_a_name_that_the_certificate_does_not_have(server: GuardedNats, pki: Pki) -> None:
    options = with_tls(server, pki.ours)
    elsewhere = msgspec.structs.replace(options, url=options.url.replace("127.0.0.1", "localhost"))
    said = await refused(elsewhere)
    assert "certificate is not valid for 'localhost'" in said
    assert "bus.url must have a name that the server's certificate has" in said


async def test_the_server_asks_for_our_certificate(server: GuardedNats, pki: Pki) -> None:
    tls = msgspec.structs.replace(pki.ours, cert="", key="")
    said = await refused(with_tls(server, tls))
    assert "certificate required" in said.lower()


@pytest.mark.parametrize("scheme", ["tls", "nats"])
async def test_nothing_is_said_to_a_server_without_tls(scheme: str, pki: Pki) -> None:
    """Someone between us and NATS who leaves TLS out of the greeting."""
    heard: list[bytes] = []
    asked = asyncio.Event()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","max_payload":1048576,"auth_required":true}\r\n')
        heard.append(await reader.read(100))
        asked.set()
        writer.close()

    listener = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        tls = pki.ours if scheme == "nats" else TlsSettings()
        options = BusOptions(f"{scheme}://127.0.0.1:{port}", "u", "secret-canary", tls=tls)
        said = await refused(options)
        await asyncio.wait_for(asked.wait(), 10)
    assert "offers no TLS" in said
    assert set(heard) == {b""}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ca": "/nowhere/ca.pem"}, "bus.tls.ca: /nowhere/ca.pem cannot be used: No such file"),
        ({"ca": __file__}, "bus.tls.ca: "),
        ({"cert": "/nowhere/cert.pem"}, "bus.tls.cert: /nowhere/cert.pem with "),
        ({"key": __file__}, "bus.tls.cert: "),
    ],
)
async def test_files_that_are_none_are_said(pki: Pki, changes: dict[str, str], says: str) -> None:
    tls = msgspec.structs.replace(pki.ours, **changes)
    with pytest.raises(ExceptionGroup) as caught:
        async with Bus(BusOptions("tls://127.0.0.1:1", tls=tls), "test") as bus:
            await bus.wait_ready(3)
    (error,) = caught.value.exceptions
    assert isinstance(error, Misconfigured)
    assert says in str(error)


async def test_a_command_says_which_file_it_lacks(tmp_path: Path) -> None:
    bus = {"url": "tls://127.0.0.1:1", "tls": {"ca": "/nowhere/ca.pem"}}
    path = write_config(tmp_path / "config.yaml", bus=bus)
    running = await spawn("set-up", str(BIN / "onebus"), "bus", "setup", "-c", str(path))
    assert await running.ended() == 1
    assert "bus.tls.ca: /nowhere/ca.pem cannot be used" in running.output
    assert "Traceback" not in running.output
