"""A YAML file as a tree that knows its lines.

Nothing is converted here: a scalar is its text, and what it means depends on the type of the
setting that it is for. So `access_token: 0123` stays what was written, and `no` is only a truth
value where one is expected.

Source: https://yaml.org/spec/1.1/ (what PyYAML reads), https://pyyaml.org/wiki/PyYAMLDocumentation
"""

import re
from typing import TypeAlias

import yaml
from msgspec import Struct
from yaml.composer import ComposerError
from yaml.reader import ReaderError

from onebus.problem import ConfigError, Problem

MAX_SIZE_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 20_000
"""More than a file of that size needs; an alias that multiplies itself ends here."""

_MAX_TABS = 20
_TAB_WIDTHS = (2, 4, 8)
_MERGE = "tag:yaml.org,2002:merge"
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge", "map", "seq")
)


class Scalar(Struct, frozen=True):
    """A single value as text; `line` is that of its key, `key` the path from the top."""

    line: int
    key: str
    text: str
    quoted: bool = False


class Items(Struct, frozen=True):
    """A list."""

    line: int
    key: str
    items: "tuple[Node, ...]"


class Block(Struct, frozen=True):
    """Keys with their values; merge keys are resolved, a key of its own wins."""

    line: int
    key: str
    entries: "dict[str, Node]"


Node: TypeAlias = Scalar | Items | Block


def parse(data: bytes, file: str) -> tuple[Block, list[Problem]]:
    """The file's tree and what is wrong with its YAML, as far as one can read on past it.

    Raises ConfigError when the rest cannot be read.
    """
    problems: list[Problem] = []
    root = _compose(_text(data, file), file, problems)
    if root is None:
        return Block(0, "", {}), problems
    tree = _Walk(file, problems).node(root, "", root.start_mark.line + 1)
    if isinstance(tree, Block):
        return tree, problems
    text = "the file is not made of keys"
    raise ConfigError([*problems, Problem(file, 1, "", text, "write: key: value")])


def _text(data: bytes, file: str) -> str:
    if len(data) > MAX_SIZE_BYTES:
        raise ConfigError([Problem(file, 0, "", f"larger than {MAX_SIZE_BYTES} bytes")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = Problem(file, line, "", "this is not UTF-8", "save the file as UTF-8 text")
        raise ConfigError([problem]) from error


# `{x: ${VAR}}` is what people write, but to YAML the brace in `${` begins a mapping. Until the file
# is parsed, the characters of a reference stand as ones far from anything in use, one for one, so
# that columns stay the same.
_REFERENCE = re.compile(r"\$(\{[^}\"'\\\n]*\})")
_COVER = {code: 0x10FF00 + code for code in range(0x20, 0x7F)}
_UNCOVER = {cover: code for code, cover in _COVER.items()}


def _covered(text: str) -> str:
    return _REFERENCE.sub(lambda found: "$" + found[1].translate(_COVER), text)


class _Loader(yaml.SafeLoader):
    """Composes nodes, and refuses depth before it costs a stack."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        if parent and self.depth > MAX_DEPTH:
            raise ComposerError(None, None, "nested too deeply", parent.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _BadSyntax(Exception):
    """The text is not YAML: all that is known of it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__()
        self.problems = problems


def _compose(text: str, file: str, problems: list[Problem]) -> yaml.Node | None:
    """Text → YAML nodes. Tabs are reported and then read as spaces, to find what else is wrong."""
    failed: list[Problem] = []
    for width in _TAB_WIDTHS:
        try:
            root, tabs = _compose_with_tabs(_covered(text), file, width)
        except _BadSyntax as bad:
            failed = failed or bad.problems
        else:
            problems += tabs
            return root
    raise ConfigError(failed)


def _compose_with_tabs(text: str, file: str, width: int) -> tuple[yaml.Node | None, list[Problem]]:
    tabs: list[Problem] = []
    while True:
        try:
            return yaml.compose(text, Loader=_Loader), tabs
        except ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise _BadSyntax([Problem(file, line, "", "a control character")]) from error
        except yaml.MarkedYAMLError as error:
            at = _tab_at(text, error)
            # What follows a guessed tab may be the guess's fault, so it is not reported with it.
            if at is None or len(tabs) == _MAX_TABS:
                raise _BadSyntax(tabs or [_syntax_problem(error, file)]) from error
            tabs.append(_syntax_problem(error, file))
            end = len(text) - len(text[at:].lstrip("\t"))
            text = text[:at] + " " * (width * (end - at)) + text[end:]


def _tab_at(text: str, error: yaml.MarkedYAMLError) -> int | None:
    mark = error.problem_mark
    return mark.index if mark and text[mark.index : mark.index + 1] == "\t" else None


_QUOTE_IT = "put the value in quotes"
_SYNTAX = (
    # What PyYAML says, what we say, and what to do.
    ("'\\t' that cannot", "a tab where YAML wants spaces", "replace the tab by spaces"),
    ("nested too deeply", f"nested deeper than {MAX_DEPTH}", ""),
    (
        "mapping values are not allowed",
        "a colon where none can stand",
        "put the value in quotes, or mend the indentation",
    ),
    ("undefined alias", "a value with * in front, which names an unknown anchor", _QUOTE_IT),
    ("duplicate anchor", "an anchor (&) that was given before", "give it another name"),
    ("tag", "a value with ! in front, which YAML takes for a tag", _QUOTE_IT),
    ("cannot start any token", "a value cannot begin with this character", _QUOTE_IT),
    ("another document", "a second document", "remove the line ---"),
    (
        "expected <block end>",
        "the indentation does not fit the lines above",
        "indent the keys of one block alike",
    ),
    ("unexpected end of stream", "a quote is opened here and never closed", "close it"),
    ("expected ',' or", "a bracket is opened here and not closed", "close it, or quote the value"),
    ("could not find expected ':'", "a key without a colon", "write: key: value"),
)
_OPENED = ("unexpected end of stream", "expected ',' or")


def _syntax_problem(error: yaml.MarkedYAMLError, file: str) -> Problem:
    """PyYAML's complaint in our words: its own quote the value, which may be a secret."""
    said = error.problem or ""
    opened = any(words in said for words in _OPENED)
    mark = (error.context_mark if opened else None) or error.problem_mark or error.context_mark
    known = ((text, hint) for words, text, hint in _SYNTAX if words in said)
    text, hint = next(known, ("this is not YAML", ""))
    return Problem(file, mark.line + 1 if mark else 0, "", text, hint)


class _Walk:
    """YAML nodes → our tree, each use of an anchor a node of its own."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        self.nodes = 0

    def node(self, node: yaml.Node, key: str, line: int, depth: int = 0) -> Node:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            text = "too large once its anchors are followed"
            raise ConfigError([Problem(self.file, line, key, text)])
        if node.tag not in _PLAIN_TAGS:
            self.report(line, key, "a tag (!) that means nothing here", _QUOTE_IT)
        if isinstance(node, yaml.MappingNode):
            return Block(line, key, self.entries(node, key, depth))
        if isinstance(node, yaml.SequenceNode):
            return Items(line, key, self.items(node, key, depth))
        quoted = isinstance(node, yaml.ScalarNode) and node.style is not None
        return Scalar(line, key, node.value.translate(_UNCOVER), quoted)

    def items(self, node: yaml.SequenceNode, key: str, depth: int) -> tuple[Node, ...]:
        return tuple(
            self.node(item, f"{key}[{place}]", item.start_mark.line + 1, depth + 1)
            for place, item in enumerate(node.value)
        )

    def entries(self, node: yaml.MappingNode, key: str, depth: int) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for name_node, value in node.value:
            line = name_node.start_mark.line + 1
            if not isinstance(name_node, yaml.ScalarNode):
                self.report(line, key, "a key that is not plain text", "")
            elif name_node.tag == _MERGE:
                merged = self.merge(value, key, line, depth) | merged
            else:
                name = name_node.value.translate(_UNCOVER)
                path = f"{key}.{name}" if key else name
                self.refuse_second(own.get(name), path, line)
                own[name] = self.node(value, path, line, depth + 1)
        return own | {name: value for name, value in merged.items() if name not in own}

    def merge(self, value: yaml.Node, key: str, line: int, depth: int) -> dict[str, Node]:
        """The entries that `<<` brings; of several mappings the first one wins."""
        sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
        found: dict[str, Node] = {}
        for source in sources:
            block = self.node(source, key, line, depth + 1)
            if isinstance(block, Block):
                found = block.entries | found
            else:
                self.report(line, key, "<< needs a block of keys", "")
        return found

    def refuse_second(self, first: Node | None, key: str, line: int) -> None:
        if first is not None:
            self.report(line, key, f"given before, in line {first.line}", "keep one of them")

    def report(self, line: int, key: str, text: str, hint: str) -> None:
        self.problems.append(Problem(self.file, line, key, text, hint))
