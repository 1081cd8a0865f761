"""One account on the sandbox with a client of it: makes things happen, and hears what is said."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from tests.e2e.clients.calls import Asked
from tests.e2e.clients.happenings import BOT, Happening
from tests.e2e.processes import Account, Running

HEARD_S = 15.0


class Stage:
    """`given` is what bodies and parameters name, `numbers` by what bots know the messages."""

    def __init__(self, account: Account, name: str, running: Running) -> None:
        self.account = account
        self.name = name
        self.running = running
        self.given: dict[str, Any] = {}
        self.numbers: dict[str, int] = {}

    @property
    def told(self) -> list[dict[str, Any]]:
        """Every line that is the client's own."""
        return [json.loads(line) for line in self.running.lines if line.startswith('{"')]

    async def hears(self, key: str, value: str, after: int = 0) -> dict[str, Any]:
        """The next line that says this of itself."""
        line = await self.running.says(f'{{"{key}":"{value}"', HEARD_S, after=after)
        found: dict[str, Any] = json.loads(line)
        return found

    async def does(self, happening: Happening) -> None:
        """Make it happen."""
        body = self._natives(happening.body)
        match happening.how:
            case "say":
                told = await self.post("messages", body)
                self.given[happening.said_as] = told["message_id"]
            case "happen":
                await self.happen(**body)
            case "recall":
                await self.recall(**body)

    async def sees(self, happening: Happening, kind: str) -> None:
        """Make it happen, and wait until the client took it for an event of this kind."""
        after = len(self.running.lines)
        await self.does(happening)
        data = (await self.hears("event", kind, after))["data"]
        if happening.how == "say":
            self.numbers[f"${happening.said_as}"] = data["message_id"]
        expected = await self.numbered(happening.fields)
        assert {key: data.get(key, "absent") for key in expected} == expected, happening

    async def calls(self, asked: Asked, form: str = "") -> dict[str, Any]:
        """What the client says of a call that it was asked for."""
        after = len(self.running.lines)
        params = await self.numbered(asked.params)
        call = {"action": asked.action, "params": params} | ({"form": form} if form else {})
        await self.account.say(f"call {json.dumps(call)}", user="ann")
        answer = await self.hears("called", asked.action, after)
        if asked.gives:
            given = answer["data"]
            self.given[asked.gives] = given["message_id"] if isinstance(given, dict) else given
        return answer

    async def happen(self, **body: Any) -> dict[str, Any]:
        """What the sandbox answers to a posted event."""
        return await self.post("events", body)

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What the sandbox answers."""
        url = f"{self.account.sandbox}/api/{path}"
        async with self.account.http.post(url, json=body) as response:
            answer: dict[str, Any] = await response.json()
            assert response.status == 200, (body, answer)
        return answer

    async def recall(self, message_id: str, **who: str) -> None:
        url = f"{self.account.sandbox}/api/messages/{message_id}"
        async with self.account.http.delete(url, params=who) as response:
            assert response.status == 200, await response.text()

    async def state(self) -> dict[str, Any]:
        async with self.account.http.get(f"{self.account.sandbox}/api/state") as response:
            found: dict[str, Any] = await response.json()
        return found

    async def group(self, name: str) -> dict[str, Any]:
        """A group as it is now, its members by name."""
        groups = (await self.state())["groups"]
        group: dict[str, Any] = next(group for group in groups if group["group"] == name)
        return group | {"members": {member["user"]: member for member in group["members"]}}

    async def person(self, name: str) -> dict[str, Any]:
        """A person as they are now."""
        users: list[dict[str, Any]] = (await self.state())["users"]
        return next(user for user in users if user["user"] == name)

    async def answered(self, user: str) -> tuple[str, str]:
        """How the bot answered somebody's request, and why, once it did."""
        async with asyncio.timeout(HEARD_S):
            while True:
                for request in (await self.state())["requests"]:
                    if request["user"] == user and request["answer"]:
                        return request["answer"], request["reason"]
                await asyncio.sleep(0.05)

    def _natives(self, body: Any) -> Any:
        if isinstance(body, dict):
            return {key: self._natives(value) for key, value in body.items()}
        if isinstance(body, list):
            return [self._natives(value) for value in body]
        if body == BOT:
            return self.name
        return self.given[body[1:]] if isinstance(body, str) and body[:1] == "$" else body

    async def numbered(self, value: Any) -> Any:
        """Parameters or fields with the numbers that bots know things by."""
        state = await self.state()
        numbers: dict[str, Any] = {f"@{u['user']}": u["onebot_id"] for u in state["users"]}
        numbers |= {f"#{g['group']}": g["onebot_id"] for g in state["groups"]}
        numbers[f"@{BOT}"] = numbers[f"@{self.name}"]
        numbers |= self.numbers | {f"%{key}": given for key, given in self.given.items()}
        return _replaced(value, numbers)


def _replaced(value: Any, numbers: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        return {key: _replaced(inner, numbers) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner, numbers) for inner in value]
    return numbers.get(value, value) if isinstance(value, str) else value
