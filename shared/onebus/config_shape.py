"""The shape of a configuration: what stands where, as far as names alone can tell.

No reference is followed and no value looked at, so every role can check the shape of all of it.
"""

import re
from collections.abc import Iterator

from onebus import installed
from onebus.ids import parse_account
from onebus.problem import Problem, did_you_mean
from onebus.settings import Settings
from onebus.yaml_source import Block, Node, Scalar

_UNFIT_FOR_PATH = re.compile(r"[/?#%\\\s\x00-\x1f\x7f]|^\.+$")


def is_empty(node: Node) -> bool:
    """Whether nothing is written behind the colon."""
    return isinstance(node, Scalar) and not node.quoted and node.text in ("", "~", "null")


def is_setting(name: str) -> bool:
    """Whether a key at the top is a setting that all roles share."""
    return name in Settings.__struct_fields__


class Shape:
    """Looks at the top two levels of a file, where names alone say what is what."""

    def __init__(self, file: str) -> None:
        self.file = file

    def problems(self, root: Block) -> list[Problem]:
        """What has no place at the top, in `general`, or as a bot standard of an account."""
        found = [found for name, node in root.entries.items() for found in self._top(name, node)]
        if not any("." in name for name in root.entries):
            text = "no account is configured"
            fix = "add one as {platform}.{account_id}, such as sandbox.demo: {}"
            found.append(Problem(self.file, 0, "", text, fix, severity="warning"))
        return found

    def _top(self, name: str, node: Node) -> Iterator[Problem]:
        if name == "general":
            yield from self._protocols(node, all_keys=True)
        elif "." in name:
            yield from self._account_name(name, node)
            yield from self._protocols(node, all_keys=False)
        elif name in installed.platforms():
            text = "a platform without an account"
            yield self._problem(node, text, f"write {name}.NAME, with a name of your choice")
        elif not is_setting(name):
            yield self._problem(
                node, "unknown key", did_you_mean(name, (*Settings.__struct_fields__, "general"))
            )

    def _account_name(self, name: str, node: Node) -> Iterator[Problem]:
        try:
            account = parse_account(name)
        except ValueError:
            yield self._problem(node, "expected {platform}.{account_id}", "such as sandbox.demo")
            return
        if account.platform not in installed.platforms():
            fix = did_you_mean(account.platform, installed.platforms())
            yield self._problem(node, f"unknown platform {account.platform}", fix)
        if _UNFIT_FOR_PATH.search(account.account_id) or len(account.account_id) > 64:
            fix = "at most 64 characters, without spaces and / ? # % \\"
            yield self._problem(node, "an account's name is part of its URLs", fix)

    def _protocols(self, node: Node, *, all_keys: bool) -> Iterator[Problem]:
        """The keys of `general`, and those of an account that have a dot: bot standards."""
        if not isinstance(node, Block):
            if not is_empty(node):
                yield self._problem(node, "expected a block of keys")
            return
        for name, value in node.entries.items():
            known = name in installed.protocols()
            if not known and (all_keys or "." in name):
                yield self._problem(value, "unknown key", did_you_mean(name, installed.protocols()))
            elif known and not isinstance(value, Block) and not is_empty(value):
                yield self._problem(value, "expected a block of keys")

    def _problem(self, node: Node, text: str, hint: str = "") -> Problem:
        return Problem(self.file, node.line, node.key, text, hint)
