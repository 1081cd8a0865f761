"""Calls of the sandbox's REST."""

from typing import Any

from .conftest import BASE, Client


async def post(client: Client, path: str, body: Any, status: int = 200) -> Any:
    async with client.post(f"{BASE}/api/{path}", json=body) as response:
        assert response.status == status, await response.text()
        return await response.json()


async def get(client: Client, path: str, status: int = 200, /, **query: str) -> Any:
    async with client.get(f"{BASE}/api/{path}", params=query) as response:
        assert response.status == status, await response.text()
        return await response.json()


async def say(client: Client, user: str, message: Any, **more: Any) -> str:
    answer = await post(client, "messages", {"user": user, "message": message, **more})
    assert list(answer) == ["message_id"]
    return str(answer["message_id"])


async def listed(client: Client, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await get(client, "messages", 200, **query))["messages"]
    return found


async def happen(client: Client, kind: str, status: int = 200, /, **body: Any) -> Any:
    return await post(client, "events", {"type": kind, **body}, status)


async def group_now(client: Client, name: str = "lobby") -> dict[str, Any]:
    """A group as the state shows it, its members by user."""
    groups = {group["group"]: group for group in (await get(client, "state"))["groups"]}
    group: dict[str, Any] = groups[name]
    return group | {"members": {member["user"]: member for member in group["members"]}}


async def person_now(client: Client, name: str) -> dict[str, Any]:
    """A person as the state shows them."""
    users: dict[str, dict[str, Any]] = {
        user["user"]: user for user in (await get(client, "state"))["users"]
    }
    return users[name]


async def chat_now(client: Client) -> dict[str, Any]:
    """The one chat that has anything besides messages."""
    (chat,) = (await get(client, "state"))["chats"]
    found: dict[str, Any] = chat
    return found
