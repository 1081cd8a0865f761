"""Opaque native ids, each with its scope. Only the platform's connector looks inside one."""

from typing import NewType

from msgspec import Struct

Platform = NewType("Platform", str)
"""A platform's name: connector module, configuration key and subject token alike (`wechat`)."""

AccountId = NewType("AccountId", str)
"""The configured name of one login on a platform; unique within its platform (`my_mp`)."""

UserId = NewType("UserId", str)
"""A person or bot on a platform; unique within the account's `id_scope`."""

ChatId = NewType("ChatId", str)
"""A group's id, or for a private chat the other side's UserId; unique within account and kind."""

MessageId = NewType("MessageId", str)
"""A platform's message id; unique within its chat only, so it is never used without the chat."""


class Account(Struct, frozen=True, order=True):
    """One login on one platform, as it is configured: `{platform}.{account_id}`."""

    platform: Platform
    account_id: AccountId

    def __str__(self) -> str:
        return f"{self.platform}.{self.account_id}"


def parse_account(name: str) -> Account:
    """`{platform}.{account_id}` → Account; the id may itself contain dots.

    Raises ValueError when there is no dot or a side is empty.
    """
    platform, dot, account_id = name.partition(".")
    if not (platform and dot and account_id):
        raise ValueError(f"{name!r} is not {{platform}}.{{account_id}}")
    return Account(Platform(platform), AccountId(account_id))
