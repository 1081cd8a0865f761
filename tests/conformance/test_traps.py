"""What breaks real clients, the worst first: each rule has tests of its own, and they exist."""

import ast
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = json.loads(Path(__file__).with_name("traps.json").read_text())


def test_no_rule_is_missing() -> None:
    assert [row["row"] for row in ROWS] == list(range(1, 19))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["row"]))
def test_its_tests_exist(row: dict[str, list[str]]) -> None:
    assert row["tests"]
    for name in row["tests"]:
        file, _, function = name.partition("::")
        tree = ast.parse((ROOT / file).read_text())
        found = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert function in found, name
