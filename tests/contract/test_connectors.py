"""Every connector keeps the contract: each is found by listing the package, and gets a class."""

import importlib
from typing import Any

import pytest

from onebus import installed
from onebus.testing.contract import ConnectorContract

PLATFORMS = installed.platforms()
HOW = """
{platform} has no {module}.py. Write a class `Subject(onebus.testing.subject.Subject)` there:
the account's configuration with canaries as secrets, a fake of the platform, how it gives update
number N and one of an unknown kind, how it signs webhooks, and which goldens go which way. The
docstrings of shared/onebus/testing/subject.py say what each is for; docs/writing-a-connector.md
shows a small one."""


def test_there_are_connectors() -> None:
    assert {"sandbox", "wechat"} <= set(PLATFORMS)


def contract_of(platform: str) -> type[Any]:
    """The tests of one connector; one that fails where nobody has said how to play its platform."""
    module = f"tests.contract.subjects.{platform}"
    if importlib.util.find_spec(module) is None:

        def test_it_can_be_played(self: object) -> None:
            pytest.fail(HOW.format(platform=platform, module=module.replace(".", "/")))

        return type("Lacking", (), {"test_it_can_be_played": test_it_can_be_played})
    subject = importlib.import_module(module).Subject
    return type("Contract", (ConnectorContract,), {"platform": platform, "subject": subject})


for _platform in PLATFORMS:
    _name = "Test" + _platform.title().replace("_", "")
    globals()[_name] = contract_of(_platform)
    globals()[_name].__qualname__ = globals()[_name].__name__ = _name
