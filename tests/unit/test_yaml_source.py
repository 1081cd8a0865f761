"""What any text may do to the reader of the file: be wrong, and nothing else."""

from hypothesis import given, settings
from hypothesis import strategies as st

from onebus.problem import ConfigError
from onebus.yaml_source import Block, Scalar, parse

_PIECES = ["a", "b.c", ":", ": ", "- ", " ", "  ", "\n", "\t", "{", "}", "[", "]", ",", "'", '"']
_MORE = ["#", "&x", "*x", "<<", "!", "!!str ", "%", "@", "|", ">", "?", "---", "...", "${", "$${A}"]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(_PIECES + _MORE), max_size=30).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        tree, problems = parse(text.encode(), "f")
    except ConfigError as error:
        problems = list(error.problems)
        assert problems
    else:
        assert isinstance(tree, Block)
    lines = text.count("\n") + 1
    assert all(0 <= problem.line <= lines + 1 for problem in problems)


_NAME = st.text("ABCxyz_", min_size=1, max_size=8)
_DEFAULT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)


@given(_NAME, _DEFAULT.filter(lambda text: not set("}\"'\\") & set(text)))
def test_a_reference_needs_no_quotes_wherever_it_stands(name: str, default: str) -> None:
    reference = f"${{{name}:-{default}}}"
    tree, problems = parse(f"a: {{b: {reference}, c: 1}}\nd: {reference}".encode(), "f")
    assert not problems
    inner = tree.entries["a"]
    assert isinstance(inner, Block)
    assert inner.entries["b"] == Scalar(1, "a.b", reference)
    assert tree.entries["d"] == Scalar(2, "d", reference)


def test_merged_keys_keep_their_line_and_take_their_place() -> None:
    tree, problems = parse(
        b"a: &a\n  x: 1\n  y: 1\nb: &b {y: 2, z: 2}\nc:\n  x: 3\n  <<: [*a, *b]\n", "f"
    )
    assert not problems
    merged = tree.entries["c"]
    assert isinstance(merged, Block)
    assert merged.entries == {
        "x": Scalar(6, "c.x", "3"),
        "y": Scalar(3, "c.y", "1"),
        "z": Scalar(4, "c.z", "2"),
    }
