"""Tables in Markdown."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

Row: TypeAlias = Sequence[str]


def table(head: Row, rows: Iterable[Row]) -> str:
    """A table; what stands in a cell is on one line."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def code(*names: str) -> str:
    """Names as they are written in code, with commas."""
    return ", ".join(f"`{name}`" for name in names)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
