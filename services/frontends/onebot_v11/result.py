"""What actions answer, as OneBot V11 has it.

Source: https://github.com/botuniverse/onebot-11/blob/master/api/public.md
"""

from frontends.onebot_v11.view import Fields, View, content, message_ids, place, sender
from onebus.action import Group, Member
from onebus.event import MessageEvent, User


def message_data(event: MessageEvent, view: View, sequence: int) -> Fields:
    """`get_msg`; edits and recalls are laid over the event by the caller.

    `event.event_references` names the ids that it needs. `real_id`, `message_seq`, `user_id` and
    `raw_message` are what quoting needs in the bot frameworks.
    """
    fields: Fields = {
        "time": event.time_ms // 1000,
        "self_id": view.self_id,
        "message_type": event.chat.kind,
        **message_ids(sequence),
        **place(event.chat, view),
        "user_id": view.numbers.users[event.sender.id],
        "sender": sender(event, view),
    }
    return fields | content(event.segments, event.chat, view)


def login_info(user_id: int, nickname: str) -> Fields:
    """`get_login_info`."""
    return {"user_id": user_id, "nickname": nickname}


def stranger_info(user: User, user_id: int) -> Fields:
    """`get_stranger_info`."""
    return {"user_id": user_id, "nickname": user.name, "sex": user.sex, "age": user.age}


def friend_info(user: User, user_id: int) -> Fields:
    """An entry of `get_friend_list`."""
    return {"user_id": user_id, "nickname": user.name, "remark": user.remark}


def group_info(group: Group, group_id: int) -> Fields:
    """`get_group_info` and an entry of `get_group_list`.

    Where a platform does not count, the account itself is a member: clients take 0 for "the bot is
    no longer in the group".
    """
    members = max(group.members, 1)
    return {
        "group_id": group_id,
        "group_name": group.name,
        "member_count": members,
        "max_member_count": max(group.max_members, members),
    }


def member_info(member: Member, group_id: int, user_id: int) -> Fields:
    """`get_group_member_info` and an entry of `get_group_member_list`."""
    user, there = member.user, member.membership
    return {
        "group_id": group_id,
        "user_id": user_id,
        "nickname": user.name,
        "card": there.card,
        "sex": user.sex,
        "age": user.age,
        "area": there.area,
        "join_time": there.joined_at_s,
        "last_sent_time": there.last_sent_at_s,
        "level": there.level,
        "role": there.role,
        "unfriendly": False,
        "title": there.title,
        "title_expire_time": there.title_expires_at_s,
        "card_changeable": there.card_changeable,
        "shut_up_timestamp": there.muted_until_s,
    }
