"""docs/writing-a-connector.md: the connector on the page keeps the contract, as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "writing-a-connector.md"
MADE_UP = 'MessageId(__import__("secrets").token_hex())'
CONNECTOR = "services/connectors/parrot.py"
_FILE = re.compile(r"^<!-- file: (\S+) -->\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)

PLUGIN = '''
"""Installs the connector of the page beside those that are there."""

import importlib.util
import sys
from pathlib import Path

import connectors

HERE = Path(__file__).parent
SUBJECT = "tests.contract.subjects.parrot"
connectors.__path__.append(str(HERE / "services/connectors"))


def pytest_collection():
    file = HERE / f"{SUBJECT.replace('.', '/')}.py"
    spec = importlib.util.spec_from_file_location(SUBJECT, file)
    sys.modules[SUBJECT] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[SUBJECT])


def pytest_collection_finish():
    from onebus.testing.contract import ConnectorContract

    ConnectorContract.docs = HERE / "docs/connectors.md"
    ConnectorContract.golden = HERE / "tests/golden"
'''


def files_of_the_page() -> dict[str, str]:
    return dict(_FILE.findall(PAGE.read_text()))


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    for name, text in files_of_the_page().items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "page_plugin.py").write_text(PLUGIN)
    return tmp_path


def run(where: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(where)}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_the_page_has_one_file_of_code_and_one_row() -> None:
    names = list(files_of_the_page())
    assert [name for name in names if name.startswith("services/")] == [CONNECTOR]
    assert files_of_the_page()["docs/connectors.md"].count("\n") == 1
    assert len(files_of_the_page()[CONNECTOR].splitlines()) < 200


def test_the_connector_of_the_page_keeps_the_contract(installed: Path) -> None:
    contract = "tests/contract/test_connectors.py"
    ran = run(installed, "pytest", "-q", "-p", "page_plugin", contract, "-k", "TestParrot")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed, ran.stdout
    assert int(passed[1]) > 20
    assert "skipped" not in ran.stdout


@pytest.mark.parametrize(
    ("old", "new", "fails"),
    [
        ("self.kit.ignore(update.kind)", "pass", "an_unknown_update_is_counted"),
        ("MessageId(update.message)", MADE_UP, "r12_each_update_is_logged"),
        ("writes=True,", "writes=False,", "what_may_have_been_done"),
    ],
)
def test_a_mistake_in_it_is_found(installed: Path, old: str, new: str, fails: str) -> None:
    file = installed / CONNECTOR
    assert file.read_text().count(old) == 1
    file.write_text(file.read_text().replace(old, new))
    contract = "tests/contract/test_connectors.py"
    only = f"TestParrot and {fails}"
    ran = run(installed, "pytest", "-q", "-p", "page_plugin", contract, "-k", only)
    assert ran.returncode == 1, ran.stdout + ran.stderr


def test_the_code_of_the_page_is_in_our_style(installed: Path) -> None:
    config = ("--config", str(ROOT / "pyproject.toml"))
    for command in ("check", "format --check"):
        ran = run(installed, "ruff", *command.split(), *config, str(installed / CONNECTOR))
        assert ran.returncode == 0, ran.stdout + ran.stderr
