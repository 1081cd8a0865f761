"""Which server of a cluster a client goes to when it has lost one."""

from urllib.parse import urlparse

from msgspec import structs
from nats.aio.client import Server

from onebus.bus import Bus
from onebus.embedded import EmbeddedNats


def server(url: str, reconnects: int = 0) -> Server:
    return Server(urlparse(url), reconnects)


def chosen(bus: Bus, *pool: Server) -> set[str]:
    """What is chosen in many draws."""
    picked = (bus._servers.next(list(pool), {})[0] for _ in range(50))
    return {one.uri.netloc for one in picked if one}


async def test_a_lost_server_is_left_for_last(bus: Bus) -> None:
    ours = server(bus.options.url)
    others = [server("nats://b:4222"), server("nats://c:4222")]
    assert chosen(bus, ours, *others) == {"b:4222", "c:4222"}
    assert chosen(bus, ours, server("nats://b:4222", 1)) == {ours.uri.netloc, "b:4222"}
    assert chosen(bus, ours, server("nats://b:4222", 2)) == {ours.uri.netloc}
    assert chosen(bus, ours) == {ours.uri.netloc}


async def test_it_is_known_by_its_address_and_by_its_name(nats: EmbeddedNats) -> None:
    by_address = nats.options().url
    by_name = by_address.replace("127.0.0.1", "localhost")
    assert by_name != by_address
    async with Bus(structs.replace(nats.options(), url=by_name), "by name") as bus:
        await bus.wait_ready(10)
        assert chosen(bus, server(by_name), server(by_address), server("nats://b:4222")) == {
            "b:4222"
        }


async def test_other_servers_of_its_machine_are_not_it(bus: Bus) -> None:
    ours = urlparse(bus.options.url)
    other = f"{ours.hostname}:{(ours.port or 0) + 1}"
    assert chosen(bus, server(bus.options.url), server(f"nats://{other}")) == {other}
