"""Everything that can happen to a client, and everything that it can ask for."""

from collections.abc import Callable

from tests.e2e.clients.calls import Asked
from tests.e2e.clients.happenings import HAPPENINGS, Happening
from tests.e2e.clients.launch import KOISHI
from tests.e2e.clients.stage import Stage
from tests.e2e.processes import Running

ASYNC = 1
"""Koishi takes the standard's own answer to what runs on for a failure."""


async def plays_all(client: Stage, kind: Callable[[Happening], str]) -> None:
    """Everything happens, and is recognized with the right fields."""
    await client.post("groups", {"group": "den", "anonymous": True})
    for happening in HAPPENINGS:
        if wanted := kind(happening):
            await client.sees(happening, wanted)
        else:
            await client.does(happening)


async def prepare(client: Stage) -> None:
    """The hall and the loft, and whatever calls need that only a platform can give."""
    for user in ("ann", "bob", "cat"):
        await client.post("groups/hall/members", {"user": user})
    await client.happen(type="role_changed", group="hall", user=client.name, role="owner")
    await client.post("groups/loft/members", {"user": "ann"})
    await client.post("groups", {"group": "hall", "anonymous": True})
    await client.post(
        "messages", {"user": "bob", "group": "hall", "message": "boo", "anonymous": True}
    )
    client.given["mask"] = (await client.group("hall"))["masks"][0]["flag"]
    asks = {"friend": {"type": "friend_requested", "user": "fay"}}
    asks["add"] = {"type": "group_requested", "user": "gus", "group": "hall", "kind": "add"}
    for kind, body in asks.items():
        client.given[kind] = (await client.happen(**body))["flag"]
    said = [{"type": "node", "data": {"name": "Ann", "uin": "@ann", "content": "made up"}}]
    forward = await client.numbered({"group_id": "#hall", "messages": said})
    sent = await client.account.ok("send_group_forward_msg", **forward)
    client.given["forward"] = sent["forward_id"]


async def calls_all(client: Stage, *plan: Asked) -> None:
    """All of it succeeds, and reads are what they are over HTTP."""
    await prepare(client)
    for asked in plan:
        answer = await client.calls(asked)
        assert "failed" not in answer, (asked, answer)
        if asked.action.startswith(("get_", "can_")):
            params = await client.numbered(asked.params)
            read = await client.account.ok(asked.action, **params)
            one_of = read.values() if client.name in KOISHI and isinstance(read, dict) else ()
            assert answer["data"] in (read, *one_of), asked


async def restarts(client: Stage, process: Running) -> None:
    """The account goes and comes back. The standard's answer to this is always `async`."""
    before = len(process.lines)
    answer = await client.calls(Asked("set_restart", {"delay": 0}))
    assert answer.get("failed") == (ASYNC if client.name == "koishi_reverse" else None)
    await process.says(f"[sandbox.{client.name}] online as", after=before)


async def check_effects(client: Stage) -> None:
    """What the actions of the standard did to the platform."""
    hall = await client.group("hall")
    assert (hall["name"], hall["muted"], hall["anonymous"]) == ("The hall", True, False)
    assert hall["refused"] == ["cat"]
    assert hall["members"].keys() == {"ann", "bob", client.name}
    bob = hall["members"]["bob"]
    assert (bob["role"], bob["card"], bob["title"]) == ("admin", "Bobby", "Sir")
    assert bob["muted_until"] > 0
    assert hall["masks"][0]["muted_until"] > 0
    assert client.name not in (await client.group("loft"))["members"]
    fay = await client.person("fay")
    assert (fay["friend"], fay["remark"]) == (True, "pal")
    assert (await client.person("ann"))["likes"] == 2
    assert await client.answered("gus") == ("refused", "full")
    account = (await client.state())["account"]
    assert (account["restarts"], account["caches_cleared"]) == (1, 1)
