"""Signatures and "safe mode": pure functions over bytes.

Source: https://developers.weixin.qq.com/doc/service/guide/dev/push/encryption.html
"""

import base64
import binascii
import hmac
import secrets
from hashlib import sha1

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from onebus.errors import OnebusError

BLOCK_BYTES = 32
"""WeChat pads to 32 bytes, not to the 16 of an AES block."""

_RANDOM_BYTES = 16
_LENGTH_BYTES = 4


class NotAuthentic(OnebusError):
    """What came is not from the platform, or not for this account. It never says why."""


def sign(*parts: str) -> str:
    """The platform's signature: SHA-1 in hex over the sorted and joined parts."""
    return sha1("".join(sorted(parts)).encode("utf-8", "surrogatepass")).hexdigest()  # noqa: S324


def check_signature(given: str, *parts: str) -> None:
    """Compare in constant time. Raises NotAuthentic."""
    expected = sign(*parts).encode()
    if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected):
        raise NotAuthentic("wrong signature")


def encrypt(plain: bytes, key: bytes, app_id: str) -> str:
    """A message → base64 of AES-256-CBC over random, length, message and app id."""
    content = b"".join(
        (secrets.token_bytes(_RANDOM_BYTES), len(plain).to_bytes(4, "big"), plain, app_id.encode())
    )
    pad = BLOCK_BYTES - len(content) % BLOCK_BYTES
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    sealed = encryptor.update(content + bytes([pad]) * pad) + encryptor.finalize()
    return base64.b64encode(sealed).decode()


def decrypt(sealed: str, key: bytes, app_id: str) -> bytes:
    """What `encrypt` made → the message, if it is for this app. Raises NotAuthentic.

    Whatever is wrong gives the same error: padding, length and app id are no oracle.
    """
    try:
        raw = base64.b64decode(sealed, validate=True)
        decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
        content = decryptor.update(raw) + decryptor.finalize()
    except (binascii.Error, ValueError):
        raise NotAuthentic("not decipherable") from None
    pad = content[-1] if content else 0
    padded = 1 <= pad <= BLOCK_BYTES and content.endswith(bytes([pad]) * pad)
    start = _RANDOM_BYTES + _LENGTH_BYTES
    length = int.from_bytes(content[_RANDOM_BYTES:start], "big")
    message, receiver = content[start : start + length], content[start + length : -pad or None]
    if not (padded and hmac.compare_digest(receiver, app_id.encode())):
        raise NotAuthentic("not decipherable")
    return message
