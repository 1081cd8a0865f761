"""Input that no proper bot sends, drawn from a seed. Pure.

Bytes of calls are turned over, cut and repeated; values have the wrong type, size or meaning; and
the payloads of the security tests stand where a text is expected.
"""

import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

CHAT: dict[str, Any] = {"user_id": "mallory", "group_id": "fuzz"}
MESSAGE = [{"type": "text", "data": {"text": "hello"}}, {"type": "at", "data": {"qq": "all"}}]
CALLS: dict[str, dict[str, Any]] = {
    "send_private_msg": {"user_id": "mallory", "message": "hello [CQ:face,id=1]"},
    "send_group_msg": {"group_id": "fuzz", "message": MESSAGE, "auto_escape": False},
    "send_msg": {"message_type": "group", **CHAT, "message": MESSAGE},
    "send_group_forward_msg": {
        "group_id": "fuzz",
        "messages": [{"type": "node", "data": {"name": "n", "uin": "1", "content": MESSAGE}}],
    },
    "delete_msg": {"message_id": 1},
    "get_msg": {"message_id": 1},
    "get_forward_msg": {"id": "m1.0.group.fuzz"},
    "get_group_msg_history": {"group_id": "fuzz", "message_seq": 1, "count": 5},
    "set_group_kick": {**CHAT, "reject_add_request": False},
    "set_group_ban": {**CHAT, "duration": 60},
    "set_group_admin": {**CHAT, "enable": True},
    "set_group_card": {**CHAT, "card": "card"},
    "set_group_name": {"group_id": "fuzz", "group_name": "name"},
    "set_group_special_title": {**CHAT, "special_title": "title", "duration": -1},
    "set_friend_add_request": {"flag": "f", "approve": True, "remark": "r"},
    "set_group_add_request": {"flag": "f", "sub_type": "add", "approve": True},
    "get_stranger_info": {"user_id": "mallory", "no_cache": False},
    "get_group_member_info": {**CHAT, "no_cache": False},
    "get_group_honor_info": {"group_id": "fuzz", "type": "all"},
    "get_record": {"file": "http://example.test/a.amr", "out_format": "mp3"},
    "get_image": {"file": "http://example.test/a.png"},
    "get_credentials": {"domain": "example.test"},
    "send_like": {"user_id": "mallory", "times": 1},
    ".handle_quick_operation": {
        "context": {"post_type": "message", "message_type": "group", **CHAT, "message_id": 1},
        "operation": {"reply": "hello", "at_sender": False},
    },
}
REPLIES: list[dict[str, Any]] = [
    {"reply": "hello", "auto_escape": True, "at_sender": False},
    {"reply": MESSAGE},
    {"delete": True},
    {"kick": True, "reject_add_request": True},
    {"ban": True, "ban_duration": 60},
    {"approve": True, "remark": "r"},
]
PAYLOADS = (
    "file:///etc/passwd",
    "file:///proc/self/environ",
    "/dev/zero",
    "http://{canary}/",
    "http://user@{canary}/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:127.0.0.1]/",
    "http://①②⑦.0.0.1/",
    "gopher://{canary}/",
    "base64://////",
    "../../../etc/cron.d/x",
    "a\0b",
    "x\n2026-01-01 [ERROR] fake",
    "\x1b[2J\u202e",
    "[CQ:image,file=file:///etc/passwd]",
    "[CQ:image,file=http://{canary}/]",
    "[CQ:at,qq=all",
    "&#91;CQ:at,qq=all&#93;",
    "[CQ:" * 500,
    "*",
    ">",
    "a.b",
    "\r\nPUB onebus.events 0\r\n",
    "9" * 400,
    "-1",
    "1e30",
    "٣",
    "",
    " ",
    "A" * 70_000,
)
NUMBERS = (0, -1, 1 << 31, 1 << 53, 1 << 64, -(1 << 70), 1.5, 1e300, -0.0)
ROTTEN = (
    b"",
    b"{",
    b"null",
    b"[]",
    b'"x"',
    b"NaN",
    b"{}{}",
    b"[" * 900,
    b"[" * 20_000,
    b'{"a":' * 2_000,
    b"[" + b"0," * 5_000 + b"0]",
    b'{"message_id":' + b"9" * 5_000 + b"}",
    b'{"\xff":1}',
    b'{"message":"\xed\xa0\x80"}',
    b'{"message":"\\ud800"}',
    b'{"a":1,"a":2}',
    b"\xef\xbb\xbf{}",
    b"\0" * 64,
)


class Input(NamedTuple):
    """A body, and the action that it is for."""

    action: str
    body: bytes


class Malformed:
    """Draws inputs; the same seed draws the same. `canary`: an address that nobody may go to."""

    def __init__(self, seed: int, canary: str) -> None:
        self.draw = random.Random(seed)
        self._canary = canary
        self._bodies: list[Callable[[Any], bytes]] = [
            self._mutated,
            self._mutated,
            self._wrong_types,
            self._wrong_types,
            self._with_payload,
            self._rotten,
            self._noise,
        ]

    def call(self) -> Input:
        """Parameters of an action, as a body."""
        action = self.draw.choice(tuple(CALLS))
        body = self._body(CALLS[action])
        return Input(action if self.draw.random() < 0.95 else self._name(action), body)

    def frame(self) -> bytes:
        """A whole call, as a frame."""
        action = self.draw.choice(tuple(CALLS))
        echo: object = self.draw.choice((1, "e", [{}]))
        call: dict[str, Any] = {
            "action": action,
            "params": CALLS[action],
            "echo": echo,
        }
        return self._body(call)

    def reply(self) -> bytes:
        """An answer to an event."""
        return self._body(self.draw.choice(REPLIES))

    def text(self) -> str:
        """Where a text is expected."""
        kind = self.draw.randrange(3)
        if kind == 0:
            return self.payload()
        size = self.draw.randrange(24)
        return "".join(
            chr(self.draw.choice((self.draw.randrange(256), 0x202E))) for _ in range(size)
        )

    def payload(self) -> str:
        """One that security.md names."""
        return self.draw.choice(PAYLOADS).replace("{canary}", self._canary)

    def query(self) -> str:
        """The part of an address behind the question mark, well and badly escaped."""
        names = ("message_id", "resume_from", "group_id", "message", self.text())
        pairs = [
            f"{quote(self.draw.choice(names))}={self._escaped(self.text())}"
            for _ in range(self.draw.randrange(1, 4))
        ]
        return "&".join(pairs)[:8_000]

    def noise(self, most: int = 300) -> bytes:
        """Random bytes."""
        return self.draw.randbytes(self.draw.randrange(most))

    def _escaped(self, text: str) -> str:
        escaped = quote(text, safe="")
        return escaped if self.draw.random() < 0.7 else escaped.replace("%", "%%", 1) + "%f%zz%ff"

    def _name(self, action: str) -> str:
        return self.draw.choice(
            (action.upper(), action + "_async", "x" * 300, "set_nothing", "_async")
        )

    def _body(self, proper: Any) -> bytes:
        return self.draw.choice(self._bodies)(proper)

    def _mutated(self, proper: Any) -> bytes:
        data = bytearray(json.dumps(proper).encode())
        for _ in range(self.draw.randrange(1, 5)):
            place = self.draw.randrange(len(data) or 1)
            match self.draw.randrange(4):
                case 0:
                    data[place : place + 1] = self.draw.randbytes(1)
                case 1:
                    del data[place : place + self.draw.randrange(1, 8)]
                case 2:
                    data[place:place] = data[place : place + self.draw.randrange(1, 20)]
                case _:
                    data[place:place] = self.draw.choice((b'"', b"{", b"]", b"\\", b"\xc3", b"\0"))
        return bytes(data)

    def _wrong_types(self, proper: Any) -> bytes:
        return json.dumps(self._spoiled(proper, self._value)).encode()

    def _with_payload(self, proper: Any) -> bytes:
        return json.dumps(self._spoiled(proper, self.payload)).encode()

    def _rotten(self, _: Any) -> bytes:
        return self.draw.choice(ROTTEN)

    def _noise(self, _: Any) -> bytes:
        return self.noise()

    def _spoiled(self, proper: Any, value: Callable[[], Any]) -> Any:
        """A copy in which about a third of what it holds is something else."""
        if self.draw.random() < 0.3:
            return value()
        if isinstance(proper, dict):
            return {key: self._spoiled(inner, value) for key, inner in proper.items()}
        if isinstance(proper, list):
            return [self._spoiled(inner, value) for inner in proper]
        return proper

    def _value(self) -> Any:
        match self.draw.randrange(6):
            case 0:
                return None
            case 1:
                return self.draw.choice(NUMBERS)
            case 2:
                return self.draw.random() < 0.5
            case 3:
                return [self._value() for _ in range(self.draw.randrange(3))]
            case 4:
                return {self.text(): self._value() for _ in range(self.draw.randrange(3))}
        return self.text()
