"""What every connector must keep, found by listing the package: a new one is tested at once.

A connector brings `tests/golden/{platform}/config.json`: the smallest configuration it works with.
"""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import aiohttp
import msgspec
import pytest

from onebus import installed, segment
from onebus.action import ACTIONS, action_name, result_type
from onebus.connector import Connector, capabilities
from onebus.errors import UnsupportedAction
from onebus.event import group_chat, private_chat
from onebus.ids import Account, AccountId, ChatId, Platform, UserId
from onebus.segment import Segment
from onebus.testing.memory import Memory, MemoryKit

GOLDEN = Path(__file__).parent.parent / "golden"
PLATFORMS = installed.platforms()
CLOSE_S = 2.0


def smallest_config(platform: str) -> dict[str, Any]:
    file = GOLDEN / platform / "config.json"
    assert file.exists(), f"{platform} needs {file}: the smallest configuration it works with"
    config: dict[str, Any] = json.loads(file.read_text())
    return config


@pytest.fixture(params=PLATFORMS)
async def connector(request: pytest.FixtureRequest) -> AsyncIterator[Connector[Any]]:
    platform = Platform(request.param)
    kind = installed.connector_class(platform)
    config = msgspec.convert(smallest_config(platform), kind.Config)
    async with aiohttp.ClientSession() as http:
        kit = MemoryKit(Memory(), Account(platform, AccountId("contract")), http)
        yield kind(config, kit)


def test_there_are_connectors() -> None:
    assert {"sandbox", "wechat"} <= set(PLATFORMS)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_who_makes_up_event_ids_has_no_webhook(platform: str) -> None:
    """Any replica takes a webhook, and only the owner may append such an event."""
    kind = installed.connector_class(platform)
    assert kind.event_ids == "stable" or kind.webhook is Connector.webhook


@pytest.mark.parametrize("platform", PLATFORMS)
def test_unknown_keys_of_its_configuration_are_refused(platform: str) -> None:
    kind = installed.connector_class(platform)
    config = smallest_config(platform) | {"no_such_key": 1}
    with pytest.raises(msgspec.ValidationError, match="no_such_key"):
        msgspec.convert(config, kind.Config)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_it_explains_itself(platform: str) -> None:
    kind = installed.connector_class(platform)
    assert inspect.getdoc(inspect.getmodule(kind))
    assert inspect.getdoc(kind) != inspect.getdoc(Connector)
    assert inspect.getdoc(kind.Config)
    assert list((GOLDEN / platform).glob("*.json")), "no golden payloads"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_it_declares_to_show_are_segments(platform: str) -> None:
    known = {kind.__struct_config__.tag for kind in get_args(Segment)}
    assert set(installed.connector_class(platform).sends) <= known


def example(kind: type[Any]) -> Any:
    """An action of this kind with any valid values."""
    values: dict[str, Any] = {
        "chat": private_chat(UserId("u")),
        "segments": (segment.Text("hi"),),
        "message": "m",
        "group": ChatId("g"),
        "user": UserId("u"),
    }
    needed = {}
    for field in msgspec.structs.fields(kind):
        if field.required:
            fallback = {str: "x", bool: True, int: 1}.get(field.type, "member")
            needed[field.name] = values.get(field.name, fallback)
    return kind(**needed)


async def test_what_it_does_not_override_is_refused_by_name(connector: Connector[Any]) -> None:
    offered = capabilities(type(connector))
    for kind in ACTIONS:
        name = action_name(kind)
        if name not in offered:
            with pytest.raises(UnsupportedAction, match=connector.kit.account.platform):
                await getattr(connector, name)(example(kind))


async def test_results_have_the_declared_types(connector: Connector[Any]) -> None:
    for kind in ACTIONS:
        if action_name(kind) in capabilities(type(connector)):
            hinted = inspect.get_annotations(
                getattr(type(connector), action_name(kind)), eval_str=True
            )["return"]
            assert (hinted or type(None)) == result_type(kind), action_name(kind)


async def test_it_stops_when_it_is_cancelled(connector: Connector[Any]) -> None:
    running = asyncio.ensure_future(connector.run())
    started = asyncio.Event()
    asyncio.get_running_loop().call_soon(started.set)
    await started.wait()
    running.cancel()
    async with asyncio.timeout(CLOSE_S):
        await asyncio.gather(running, return_exceptions=True)
        await connector.close()
    assert running.cancelled()


async def test_a_group_without_groups_is_unsupported(connector: Connector[Any]) -> None:
    if "get_groups" in capabilities(type(connector)):
        return
    action = example(ACTIONS[0])
    grouped = msgspec.structs.replace(action, chat=group_chat(ChatId("g")))
    with pytest.raises(UnsupportedAction):
        await connector.send_message(grouped)
