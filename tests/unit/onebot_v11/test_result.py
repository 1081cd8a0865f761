"""What actions answer, field by field. Source: api/public.md."""

from frontends.onebot_v11.event import event_references
from frontends.onebot_v11.references import Numbers
from frontends.onebot_v11.result import (
    friend_info,
    group_info,
    login_info,
    member_info,
    message_data,
    stranger_info,
)
from frontends.onebot_v11.view import View
from onebus.action import Group, Member
from onebus.event import Membership, MessageReceived, MessageSent, User, group_chat, private_chat
from onebus.ids import Account, AccountId, ChatId, MessageId, Platform, UserId
from onebus.segment import Text

ACCOUNT = Account(Platform("sandbox"), AccountId("demo"))
ALICE = User(UserId("u10"), "Alice", "female", 30, "sis")
NUMBERS = Numbers({UserId("u9"): 9, ALICE.id: 10}, {ChatId("g1"): 1})


def test_get_msg_in_a_group() -> None:
    event = MessageReceived(
        account=ACCOUNT,
        time_ms=1_700_000_000_999,
        chat=group_chat(ChatId("g1"), "lobby"),
        message=MessageId("m1"),
        sender=ALICE,
        segments=(Text("[hi]"),),
        membership=Membership("owner", "A"),
    )
    assert event_references(event).groups == {ChatId("g1")}
    assert message_data(event, View(9, UserId("u9"), NUMBERS, "array"), 2**31) == {
        "time": 1_700_000_000,
        "self_id": 9,
        "message_type": "group",
        "message_id": 1,
        "message_seq": 1,
        "real_id": 1,
        "group_id": 1,
        "group_name": "lobby",
        "user_id": 10,
        "sender": {
            "user_id": 10,
            "nickname": "Alice",
            "card": "A",
            "sex": "female",
            "age": 30,
            "area": "",
            "level": "",
            "role": "owner",
            "title": "",
        },
        "message": [{"type": "text", "data": {"text": "[hi]"}}],
        "raw_message": "&#91;hi&#93;",
        "message_format": "array",
    }


def test_get_msg_of_what_the_account_itself_wrote() -> None:
    event = MessageSent(
        account=ACCOUNT,
        time_ms=1_700_000_000_000,
        chat=private_chat(ALICE.id),
        message=MessageId("m2"),
        sender=User(UserId("u9"), "Bot"),
        segments=(Text("hi"),),
    )
    assert event_references(event).users == {UserId("u9"), ALICE.id}
    data = message_data(event, View(9, UserId("u9"), NUMBERS), 7)
    assert data["message_type"] == "private"
    assert data["sender"] == {"user_id": 9, "nickname": "Bot", "sex": "unknown", "age": 0}
    assert (data["message"], data["user_id"], data["target_id"]) == ("hi", 9, 10)
    assert "group_id" not in data


def test_people() -> None:
    assert login_info(9, "Bot") == {"user_id": 9, "nickname": "Bot"}
    who = {"user_id": 10, "nickname": "Alice"}
    assert stranger_info(ALICE, 10) == who | {"sex": "female", "age": 30, "remark": "sis"}
    assert friend_info(ALICE, 10) == who | {"remark": "sis"}


def test_a_group_is_never_without_room() -> None:
    assert group_info(Group(ChatId("g1"), "lobby", 3, 200), 1) == {
        "group_id": 1,
        "group_name": "lobby",
        "member_count": 3,
        "max_member_count": 200,
    }
    unknown = group_info(Group(ChatId("g1")), 1)
    assert (unknown["member_count"], unknown["max_member_count"]) == (1, 1)
    assert group_info(Group(ChatId("g1"), members=7), 1)["max_member_count"] == 7


def test_a_member() -> None:
    membership = Membership("admin", "A", "T", "3", "X", 1, 2, 3, 4, True)
    assert member_info(Member(ALICE, membership), 1, 10) == {
        "group_id": 1,
        "user_id": 10,
        "nickname": "Alice",
        "card": "A",
        "sex": "female",
        "age": 30,
        "area": "X",
        "join_time": 1,
        "last_sent_time": 2,
        "level": "3",
        "role": "admin",
        "unfriendly": False,
        "title": "T",
        "title_expire_time": 3,
        "card_changeable": True,
        "shut_up_timestamp": 4,
    }
