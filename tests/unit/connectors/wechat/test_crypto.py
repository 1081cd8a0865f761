import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.wechat_push import AES_KEY
from wechatpy.crypto import WeChatCrypto
from wechatpy.utils import check_signature as wechatpy_checks

from connectors.wechat.config import aes_key
from connectors.wechat.crypto import NotAuthentic, check_signature, decrypt, encrypt, sign

KEY = aes_key(AES_KEY) or b""


def wechatpy_opens(sealed: str) -> str:
    given = {"Encrypt": sealed}
    signature = sign("tok", "1700000000", "n", sealed)
    crypto = WeChatCrypto("tok", AES_KEY, "wxapp")
    return str(crypto.decrypt_message(given, signature, "1700000000", "n"))


@settings(max_examples=60)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200))
def test_wechatpy_opens_what_we_seal_and_so_do_we(text: str) -> None:
    sealed = encrypt(text.encode(), KEY, "wxapp")
    assert wechatpy_opens(sealed) == text
    assert decrypt(sealed, KEY, "wxapp") == text.encode()


@pytest.mark.parametrize("length", range(70))
def test_every_padding_length(length: int) -> None:
    plain = b"x" * length
    assert decrypt(encrypt(plain, KEY, "wxapp"), KEY, "wxapp") == plain


def test_wechatpy_accepts_our_signature() -> None:
    wechatpy_checks("tok", sign("tok", "1700000000", "n"), "1700000000", "n")


@pytest.mark.parametrize("given", ["", "0" * 40, "é", "\ud800"])
def test_a_wrong_signature_is_refused(given: str) -> None:
    with pytest.raises(NotAuthentic):
        check_signature(given, "tok", "1700000000", "n")


def test_the_right_signature_is_accepted() -> None:
    check_signature(sign("tok", "1700000000", "n"), "tok", "1700000000", "n")


def sealed_raw(content: bytes) -> str:
    encryptor = Cipher(algorithms.AES(KEY), modes.CBC(KEY[:16])).encryptor()
    return base64.b64encode(encryptor.update(content) + encryptor.finalize()).decode()


def padded(content: bytes, pad: int = 0) -> bytes:
    pad = pad or 32 - len(content) % 32
    return content + bytes([pad]) * pad


HEAD = b"r" * 16


@pytest.mark.parametrize(
    "sealed",
    [
        "",
        "not base64!",
        "YWJj",  # 3 bytes are no block
        sealed_raw(b""),
        sealed_raw(b"\0" * 32),  # padding of length 0
        sealed_raw(b"\x21" * 64),  # padding longer than 32
        sealed_raw(HEAD + b"\0\0\0\1m" + b"wxapp" + b"\5" * 5 + b"\6"),  # padding not uniform
        sealed_raw(padded(HEAD + b"\xff\xff\xff\xffm" + b"wxapp")),  # length beyond the end
        sealed_raw(padded(HEAD + b"\0\0\0\1m" + b"wxother")),
        sealed_raw(padded(HEAD + b"\0\0\0\1m")),  # no app id
        sealed_raw(padded(HEAD[:11])),  # no room for a length
    ],
)
def test_whatever_is_wrong_says_the_same(sealed: str) -> None:
    with pytest.raises(NotAuthentic, match=r"^not decipherable$") as caught:
        decrypt(sealed, KEY, "wxapp")
    assert caught.value.__cause__ is None


def test_what_is_right_by_the_same_builder_is_opened() -> None:
    assert decrypt(sealed_raw(padded(HEAD + b"\0\0\0\1m" + b"wxapp")), KEY, "wxapp") == b"m"


@pytest.mark.parametrize("text", ["", "a" * 42, "a" * 44, "é" * 43, "!" * 43])
def test_what_is_no_aes_key(text: str) -> None:
    assert aes_key(text) is None


def test_an_aes_key_has_32_bytes() -> None:
    got: Any = aes_key(AES_KEY)
    assert len(got) == 32
