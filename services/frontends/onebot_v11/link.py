"""Addresses of files that bots can open: signed, expiring, and without any secret of a platform.

    {base}/{platform}/{account}/media/{token}
    token = base64url(expiry in hours . kind . the platform's reference) . base64url(HMAC)

Pure: what it needs to know of the time and the key comes in. No replica remembers a link.
"""

import base64
import binascii
import hmac
from hashlib import sha256
from typing import Literal, TypeAlias, cast
from urllib.parse import quote

import msgspec
from msgspec import Struct

from onebus import segment as seg
from onebus import subjects
from onebus.ids import Account
from onebus.media import MAX_REFERENCE, SCHEME
from onebus.segment import Segment, Segments

Kind: TypeAlias = Literal["image", "voice", "video", "file"]

KINDS: tuple[Kind, ...] = ("image", "voice", "video", "file")
HOUR_S = 3600
MAC_BYTES = 16
MAX_TOKEN = 4096


class Links(Struct, frozen=True):
    """What links of one account to one bot are made of.

    `base`: where the bot reaches us. `fetches`: whether files that are not here yet can be had of
    the platform. `lasts_s`: how long a link is good, from now on, at least.
    """

    account: Account
    key: str
    base: str
    now_s: int
    lasts_s: int
    fetches: bool = True

    def url(self, kind: Kind, file: str) -> str:
        """The address of what a segment's `file` names; empty where there can be none."""
        if not (self.fetches or file.startswith(SCHEME)) or not 0 < len(file) <= MAX_REFERENCE:
            return ""
        expires_h = (self.now_s + self.lasts_s) // HOUR_S + 1
        payload = f"{expires_h:x}.{KINDS.index(kind)}.{file}".encode("utf-8", "surrogatepass")
        account = f"{quote(self.account.platform, '')}/{quote(self.account.account_id, '')}"
        token = f"{_text(payload)}.{_text(_mac(self.key, self.account, payload))}"
        return f"{self.base.rstrip('/')}/{account}/media/{token}"


class Opened(Struct, frozen=True):
    """What a token stands for."""

    kind: Kind
    file: str
    expired: bool


def opened(token: str, account: Account, key: str, now_s: int) -> Opened | None:
    """A token → what it stands for; None for one that we did not sign for this account."""
    try:
        payload, mac = (_bytes(part) for part in token.split("."))
    except ValueError:
        return None
    if len(token) > MAX_TOKEN or not hmac.compare_digest(mac, _mac(key, account, payload)):
        return None
    expires_h, kind, file = payload.decode("utf-8", "surrogatepass").split(".", 2)
    return Opened(KINDS[int(kind)], file, int(expires_h, 16) * HOUR_S < now_s)


def linked(segments: Segments, links: Links | None) -> Segments:
    """Segments with an address for each file that has none."""
    return segments if links is None else tuple(_linked(segment, links) for segment in segments)


def linked_node(node: seg.Node, links: Links | None) -> seg.Node:
    """A forward node with such segments."""
    return msgspec.structs.replace(node, content=linked(node.content, links))


def _linked(segment: Segment, links: Links) -> Segment:
    match segment:
        case seg.Image() | seg.Voice() | seg.Video() | seg.File():
            if segment.url or "://" in segment.file:
                return segment
            kind = cast("Kind", str(segment.__struct_config__.tag))
            return msgspec.structs.replace(segment, url=links.url(kind, segment.file))
        case seg.Forward(nodes=nodes) if nodes:
            inner = tuple(linked_node(node, links) for node in nodes)
            return msgspec.structs.replace(segment, nodes=inner)
    return segment


def _mac(key: str, account: Account, payload: bytes) -> bytes:
    """Over the account too: a link of one is none of another."""
    about = f"media\0{subjects.account_key(account)}\0".encode()
    return hmac.digest(key.encode(), about + payload, sha256)[:MAC_BYTES]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    """Raises ValueError."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(text) from error
