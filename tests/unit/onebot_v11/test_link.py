"""Addresses of files: for one file, one account, and a while."""

from hypothesis import given
from hypothesis import strategies as st

from frontends.onebot_v11.link import KINDS, Links, linked, opened
from onebus.ids import Account, AccountId, Platform
from onebus.media_http import Span, span_of
from onebus.segment import Forward, Image, Node, Text, Voice

ME = Account(Platform("test"), AccountId("a/b ü"))
KEY = "0123456789abcdef"
NOW_S = 1_767_225_600


def links(account: Account = ME, key: str = KEY, *, fetches: bool = True) -> Links:
    return Links(account, key, "https://bots.example/", NOW_S, 3600, fetches)


def token_of(url: str) -> str:
    return url.rpartition("/")[2]


@given(st.sampled_from(KINDS), st.text(min_size=1, max_size=200))
def test_a_token_says_what_was_put_in(kind: str, file: str) -> None:
    url = links().url(kind, file)  # type: ignore[arg-type]
    assert url.startswith("https://bots.example/test/a%2Fb%20%C3%BC/media/")
    found = opened(token_of(url), ME, KEY, NOW_S)
    assert found
    assert (found.kind, found.file, found.expired) == (kind, file, False)


def test_it_expires() -> None:
    token = token_of(links().url("image", "f"))
    for later_s, expired in ((3600, False), (3 * 3600, True)):
        found = opened(token, ME, KEY, NOW_S + later_s)
        assert found
        assert found.expired is expired


def test_it_is_for_this_account_and_key() -> None:
    token = token_of(links().url("image", "f"))
    other = Account(Platform("test"), AccountId("other"))
    assert opened(token, other, KEY, NOW_S) is None
    assert opened(token, ME, KEY + "x", NOW_S) is None
    for bad in ("", ".", "a.b", token[1:], token + "A", token.replace(".", ""), "é.ü", "A" * 5000):
        assert opened(bad, ME, KEY, NOW_S) is None


@given(st.text(max_size=60))
def test_what_is_no_token(text: str) -> None:
    assert opened(text, ME, KEY, NOW_S) is None


def test_the_same_for_everybody_within_an_hour() -> None:
    """So that an event is the same for all bots, and again when it is read again."""
    later = Links(ME, KEY, "https://bots.example/", NOW_S + 1800, 3600)
    assert links().url("image", "f") == later.url("image", "f")


def test_what_gets_one() -> None:
    given_url = Image("f", url="https://cdn.example/f")
    of_the_web = Image("https://a.example/b.png")
    shown = linked((Text("x"), given_url, of_the_web, Voice("v")), links())
    assert shown[:3] == (Text("x"), given_url, of_the_web)
    assert isinstance(shown[3], Voice)
    assert "/media/" in shown[3].url
    (forward,) = linked((Forward(nodes=(Node(content=(Image("f"),)),)),), links())
    assert isinstance(forward, Forward)
    inner = forward.nodes[0].content[0]
    assert isinstance(inner, Image)
    assert inner.url
    assert linked((Image("f"),), None) == (Image("f"),)


def test_what_cannot_be_had_gets_none() -> None:
    assert links(fetches=False).url("image", "f") == ""
    assert links(fetches=False).url("image", "media:x")
    assert links().url("image", "") == ""
    assert links().url("image", "x" * 1025) == ""


def test_spans() -> None:
    """Source: RFC 9110, section 14."""
    cases = {
        "bytes=0-9": Span(0, 10),
        "bytes=90-": Span(90, 100),
        "bytes=90-999": Span(90, 100),
        "bytes=-10": Span(90, 100),
        "bytes=-999": Span(0, 100),
        "bytes=100-": Span(0, 0),
        "bytes=-0": Span(0, 0),
        "bytes=9-1": None,
        "bytes=-": Span(0, 0),
        "bytes=0-1,5-6": None,
        "lines=0-9": None,
        "": None,
    }
    for header, span in cases.items():
        assert span_of(header, 100) == span, header
