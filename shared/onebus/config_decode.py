"""A block of the configuration → the Struct that describes it, with everything that is wrong.

The type of a setting says how its text is read: `6727` is a number for `port` and text for a
token. References are followed here and nowhere else, so what is not decoded is never read.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

import msgspec
from msgspec import Struct, inspect, structs

from onebus.expansion import BadReference, expand
from onebus.problem import Problem, did_you_mean, is_secret, nearest, raise_errors
from onebus.yaml_source import Block, Items, Node, Scalar

T = TypeVar("T", bound=Struct)

_BAD: Final = object()
_LEFT_OUT: Final = object()


@runtime_checkable
class Checked(Protocol):
    """A Config Struct whose values must fit together in ways that types cannot say."""

    def problems(self, *, exposed: bool) -> Iterable[tuple[str, str]]:
        """What is wrong, as (key, text with the fix).

        `exposed`: other machines can reach what this process serves.
        """


class Decoder:
    """Decodes blocks of one file and gathers the problems of all of them."""

    def __init__(self, file: str, environ: Mapping[str, str], directory: Path) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._environ = environ
        self._directory = directory
        self._secrets: set[str] = set()

    def report(self, node: Node, text: str, hint: str = "", *, below: str = "") -> None:
        """Note a problem at a node, or at what is missing `below` it; secrets are blotted out."""
        dot = "." if node.key and below and not below.startswith("[") else ""
        key = f"{node.key}{dot}{below}"
        problem = Problem(self._file, node.line, key, self._blot(text), self._blot(hint))
        self.problems.append(problem)

    def raise_if_wrong(self) -> None:
        """Raise ConfigError with all that was reported."""
        raise_errors(self.problems)

    def config(
        self, block: Block, kind: type[T], *, exposed: bool, also: Iterable[str] = ()
    ) -> T | None:
        """Block → `kind`, its own `problems` asked too; None when it was reported wrong.

        `also`: keys that may stand beside, for a suggestion.
        """
        before = len(self.problems)
        values = self.values(block, kind, also=also)
        if len(self.problems) > before:
            return None
        try:
            config = msgspec.convert(values, kind)
        except msgspec.ValidationError as error:
            self.report(block, _in_words(error))
            return None
        self._ask(config, block, exposed=exposed)
        return config if len(self.problems) == before else None

    def values(
        self,
        block: Block,
        kind: type[Struct],
        *,
        also: Iterable[str] = (),
        partial: bool = False,
    ) -> dict[str, Any]:
        """Block → the values that are given; `partial` blocks may lack what is required."""
        fields = {field.encode_name: field for field in structs.fields(kind)}
        values: dict[str, Any] = {}
        excused: set[str | None] = set()
        for name, node in block.entries.items():
            if name not in fields:
                known = (*fields, *also)
                self.report(node, "unknown key", did_you_mean(name, known))
                excused.add(nearest(name, known))
                continue
            value = self._field(node, fields[name])
            if value is not _LEFT_OUT:
                values[name] = value
        missing = (name for name, field in fields.items() if field.required and not partial)
        for name in missing:
            if name not in values and name not in excused:
                self.report(block, "required, and not given", "add it", below=name)
        return values

    def _field(self, node: Node, field: structs.FieldInfo) -> Any:
        """The value of one setting; one that is written without a value keeps its default."""
        before = len(self.problems)
        value = self._value(node, inspect.type_info(field.type))
        if value is _LEFT_OUT or len(self.problems) > before:
            return value
        try:
            msgspec.convert(value, field.type)
        except msgspec.ValidationError as error:
            self.report(node, _in_words(error) + self._shown(node))
        return value

    def _value(self, node: Node, kind: inspect.Type) -> Any:
        arms = _arms(kind)
        if isinstance(node, Block):
            return self._block(node, arms)
        if isinstance(node, Items):
            return self._items(node, arms)
        return self._scalar(node, arms)

    def _block(self, block: Block, arms: "_Arms") -> Any:
        for arm in arms:
            if isinstance(arm, inspect.StructType):
                return self.values(block, arm.cls)
            if isinstance(arm, inspect.DictType):
                return self._entries(block, arm.value_type)
            if isinstance(arm, inspect.AnyType):
                return self._entries(block, arm)
        return self._mismatch(block, arms, "a block of keys")

    def _items(self, items: Items, arms: "_Arms") -> Any:
        for arm in arms:
            if isinstance(arm, _COLLECTIONS):
                return self._each(items, arm.item_type)
            if isinstance(arm, inspect.AnyType):
                return self._each(items, arm)
        return self._mismatch(items, arms, "a list")

    def _entries(self, block: Block, kind: inspect.Type) -> dict[str, Any]:
        values = {name: self._value(node, kind) for name, node in block.entries.items()}
        return {name: value for name, value in values.items() if value is not _LEFT_OUT}

    def _each(self, items: Items, kind: inspect.Type) -> list[Any]:
        values = [self._value(node, kind) for node in items.items]
        return [None if value is _LEFT_OUT else value for value in values]

    def _scalar(self, node: Scalar, arms: "_Arms") -> Any:
        try:
            text = expand(node.text, self._environ, self._directory)
        except BadReference as error:
            self.report(node, error.text, error.hint)
            return _BAD
        if is_secret(node.key):
            self._secrets.add(text)
        # An empty variable is empty text; nothing at all behind the colon is no value.
        empty = text == node.text and not node.quoted and text in _NULLS
        if empty:
            return None if _has_none(arms) else _LEFT_OUT
        natural = text if node.quoted else _natural(text)
        for arm in arms:
            read = _READERS.get(type(arm))
            value = read(arm, text, natural) if read else _BAD
            if value is not _BAD:
                return value
        return self._mismatch(node, arms, _KINDS[type(natural)], text)

    def _mismatch(self, node: Node, arms: "_Arms", got: str, text: str = "") -> Any:
        """Report a value of the wrong kind, with the nearest choice or the likeliest slip."""
        choices = [
            str(c) for arm in arms if isinstance(arm, inspect.LiteralType) for c in arm.values
        ]
        hint = ""
        if isinstance(node, Scalar):
            got += self._shown(node)
            if choices and not is_secret(node.key):
                hint = did_you_mean(text, choices)
            elif node.quoted and _fits(_natural(text), arms):
                hint = "remove the quotes"
            elif any(isinstance(arm, _COLLECTIONS) for arm in arms):
                hint = "write each entry on a line of its own, with - in front"
        self.report(node, f"expected {_expected(arms)}, got {got}", hint)
        return _BAD

    def _shown(self, node: Node) -> str:
        """The value in brackets, when it is short, written in the file and not a secret."""
        if not isinstance(node, Scalar) or is_secret(node.key) or "${" in node.text:
            return ""
        return f" ({node.text})" if 0 < len(node.text) <= 40 and node.text.isprintable() else ""

    def _ask(self, config: Struct, block: Block, *, exposed: bool) -> None:
        if not isinstance(config, Checked):
            return
        for key, text in config.problems(exposed=exposed):
            node, below = _locate(block, key)
            self.report(node, text, below=below)

    def _blot(self, text: str) -> str:
        for secret in self._secrets:
            if len(secret) >= 4:
                text = text.replace(secret, "***")
        return text


_Arms = tuple[inspect.Type, ...]
_COLLECTIONS = (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[-+]?(?:[0-9]{1,18}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
_KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
}
_WORDS: Mapping[type[inspect.Type], str] = {
    inspect.BoolType: "true or false",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.StrType: "text",
    inspect.StructType: "a block of keys",
    inspect.DictType: "a block of keys",
    **dict.fromkeys(_COLLECTIONS, "a list"),
}


def _arms(kind: inspect.Type) -> _Arms:
    """What a type allows: the members of a union, or the type itself."""
    if isinstance(kind, inspect.Metadata):
        return _arms(kind.type)
    if isinstance(kind, inspect.UnionType):
        return tuple(arm for member in kind.types for arm in _arms(member))
    return (kind,)


def _has_none(arms: _Arms) -> bool:
    return any(isinstance(arm, inspect.NoneType | inspect.AnyType) for arm in arms)


def _natural(text: str) -> bool | int | float | str:
    """What plain text means where the type leaves it open, in the words of YAML."""
    if text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


def _exactly(wanted: type) -> "_Reader":
    return lambda _arm, _text, natural: natural if type(natural) is wanted else _BAD


def _read_float(_arm: inspect.Type, _text: str, natural: Any) -> Any:
    return float(natural) if type(natural) in (int, float) else _BAD


def _read_choice(arm: inspect.Type, text: str, natural: Any) -> Any:
    values = getattr(arm, "values", ())
    return next((value for value in (text, natural) if value in values), _BAD)


# How a scalar is read for each type: (type, its text, what it means by itself) → value, or _BAD.
_Reader = Callable[[inspect.Type, str, Any], Any]
_READERS: Mapping[type[inspect.Type], _Reader] = {
    inspect.BoolType: _exactly(bool),
    inspect.IntType: _exactly(int),
    inspect.FloatType: _read_float,
    inspect.LiteralType: _read_choice,
    inspect.StrType: lambda _arm, text, _natural: text,
    inspect.AnyType: lambda _arm, _text, natural: natural,
}


def _locate(block: Block, key: str) -> tuple[Node, str]:
    """The node at a key such as `bus.url` or `ws_reverse[0]`, and what of the key is not there."""
    node: Node = block
    for part in re.finditer(r"\[\d+\]|[^.\[\]]+", key):
        child = _child(node, part[0])
        if child is None:
            return node, key[part.start() :]
        node = child
    return node, ""


def _child(node: Node, part: str) -> Node | None:
    if isinstance(node, Block):
        return node.entries.get(part)
    if isinstance(node, Items):
        return next((item for item in node.items if item.key.endswith(part)), None)
    return None


def _fits(natural: Any, arms: _Arms) -> bool:
    return any(_KINDS[type(natural)] == _WORDS.get(type(arm)) for arm in arms)


def _expected(arms: _Arms) -> str:
    words: list[str] = []
    for arm in arms:
        if isinstance(arm, inspect.LiteralType):
            words.append(f"one of {', '.join(map(str, arm.values))}")
        else:
            words.append(_WORDS.get(type(arm), "another kind of value"))
    return " or ".join(dict.fromkeys(words))


_MSGSPEC_WORDS = {"`int`": "a number", "`float`": "a number", "`str`": "text", "`array`": "a list"}


def _in_words(error: msgspec.ValidationError) -> str:
    """What msgspec says of a value (it names types and bounds, never the value), for a person."""
    said = str(error).split(" - at ")[0]
    for theirs, ours in _MSGSPEC_WORDS.items():
        said = said.replace(theirs, ours)
    return said[:1].lower() + said[1:]
