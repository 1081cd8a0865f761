"""What actions answer, as OneBot V11 has it.

Source: https://github.com/botuniverse/onebot-11/blob/master/api/public.md
"""

from collections.abc import Mapping, Sequence
from typing import get_args

from frontends.onebot_v11.link import linked_node
from frontends.onebot_v11.to_onebot import to_onebot_node
from frontends.onebot_v11.view import Fields, View, content, message_ids, place, sender, target
from onebus.action import Group, HonorHolder, HonorKind, Honors, MediaFile, Member
from onebus.event import Chat, MessageEvent, User
from onebus.ids import UserId
from onebus.segment import Node


def message_data(event: MessageEvent, view: View, sequence: int) -> Fields:
    """`get_msg`, and an entry of a history; `event` has its present content.

    `event.event_references` names the ids that it needs. `real_id`, `message_seq`, `user_id` and
    `raw_message` are what quoting needs in the bot frameworks.
    """
    fields: Fields = {
        "time": event.time_ms // 1000,
        "self_id": view.self_id,
        "message_type": event.chat.kind,
        **message_ids(sequence),
        **place(event.chat, view),
        **({"group_name": event.chat.name} if event.chat.kind == "group" else {}),
        "user_id": view.numbers.users[event.sender.id],
        **target(event, view),
        "sender": sender(event, view),
    }
    return fields | content(event.segments, event.chat, view)


def forward_data(nodes: Sequence[Node], chat: Chat, view: View) -> Fields:
    """`get_forward_msg`: `message` is the standard's, `messages` go-cqhttp's, which clients read.

    `to_onebot.node_references` names the ids that it needs.
    """
    return {
        "message": [
            to_onebot_node(linked_node(node, view.links), chat, view.numbers) for node in nodes
        ],
        "messages": [_forwarded(node, chat, view) for node in nodes],
    }


def _forwarded(node: Node, chat: Chat, view: View) -> Fields:
    """go-cqhttp has `content`, NapCat `message`: the same here."""
    user_id = view.numbers.users[node.user] if node.user else 0
    said = content(node.content, chat, view)
    return {
        "sender": {"user_id": user_id, "nickname": node.name},
        "user_id": user_id,
        "time": node.time_s or 0,
        "content": said["message"],
        **said,
    }


def login_info(user_id: int, nickname: str) -> Fields:
    """`get_login_info`."""
    return {"user_id": user_id, "nickname": nickname}


def stranger_info(user: User, user_id: int) -> Fields:
    """`get_stranger_info`; what the account has noted is beyond the standard."""
    fields = {"user_id": user_id, "nickname": user.name, "sex": user.sex, "age": user.age}
    return fields | {"remark": user.remark} | _labels(user)


def friend_info(user: User, user_id: int) -> Fields:
    """An entry of `get_friend_list`."""
    fields = {"user_id": user_id, "nickname": user.name, "remark": user.remark}
    return fields | _labels(user)


def _labels(user: User) -> Fields:
    """Only where there are some: not in the standard, nor in any implementation."""
    return {"labels": list(user.labels)} if user.labels else {}


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


def honor_info(honors: Honors, group_id: int, numbers: Mapping[UserId, int]) -> Fields:
    """`get_group_honor_info`: every list is there, those that were not asked for are empty."""
    fields: Fields = {"group_id": group_id, "current_talkative": None}
    if current := honors.current_talkative:
        fields["current_talkative"] = {
            "user_id": numbers[current.user.id],
            "nickname": current.user.name,
            "avatar": current.avatar,
            "day_count": current.days,
        }
    for kind in get_args(HonorKind):
        holders = honors.holders.get(kind, ())
        fields[f"{kind}_list"] = [_holder(holder, numbers) for holder in holders]
    return fields


def _holder(holder: HonorHolder, numbers: Mapping[UserId, int]) -> Fields:
    return {
        "user_id": numbers[holder.user.id],
        "nickname": holder.user.name,
        "avatar": holder.avatar,
        "description": holder.description,
    }


def media_file(media: MediaFile, link: str = "") -> Fields:
    """`get_image`, `get_record` and `get_file`: `file` is an address unless it is a path.

    `link`: where a file of the media store can be had. `url` and the rest, which the standard
    lacks, have the names of go-cqhttp and NapCat.
    """
    fields: Fields = {"file": link or media.file}
    if url := link or media.url:
        fields["url"] = url
    if media.size_bytes is not None:
        fields |= {"file_size": str(media.size_bytes), "file_name": media.name}
    return fields
