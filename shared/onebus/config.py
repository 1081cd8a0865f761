"""The configuration file: who reads which part of it, and what the top of it may hold.

    general:
      onebot.v11: {…}            defaults for every account
    {platform}.{account_id}:
      …                          the connector's part
      onebot.v11: {…}            the frontends' part, over `general` key by key

A role decodes only what it owns, so a frontend never reads a platform's secret. Reading the file
(`load`) looks at its shape alone; references are followed when a part is asked for.
"""

import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from onebus import installed
from onebus.config_decode import Decoder
from onebus.config_schema import schema
from onebus.config_shape import Shape, is_empty, is_setting
from onebus.errors import Misconfigured
from onebus.expansion import has_reference
from onebus.ids import Account, parse_account
from onebus.problem import ConfigError, Problem, in_order, is_secret, raise_errors
from onebus.settings import BusSettings, Settings, bus_urls
from onebus.yaml_source import Block, Items, Node, Scalar, parse

__all__ = [
    "BusSettings",
    "ConfigError",
    "Problem",
    "Settings",
    "Source",
    "bus_urls",
    "check",
    "example_path",
    "load",
    "load_default",
    "schema",
]

T = TypeVar("T", bound=Struct)

DEFAULT_PATH = Path("config.yaml")


class Source:
    """A configuration file that was read and whose shape is right; see `load`."""

    def __init__(
        self, path: Path, root: Block, environ: Mapping[str, str], noted: Sequence[Problem] = ()
    ) -> None:
        self.path = path
        self._noted = noted
        self._root = root
        self._environ = environ

    def settings(self) -> Settings:
        """What all roles share. Raises ConfigError."""
        decoder = self._decoder()
        settings = self._settings(decoder)
        decoder.raise_if_wrong()
        return settings

    def bus_prefix(self) -> str:
        """`bus.prefix` alone, where the files of other settings may not be there yet.

        Raises ConfigError.
        """
        bus = self._block("bus")
        own = {name: node for name, node in bus.entries.items() if name == "prefix"}
        decoder = self._decoder()
        block = Block(0, "", {"bus": Block(bus.line, bus.key, own)})
        return _decoded(decoder, decoder.config(block, Settings, exposed=False)).bus.prefix

    def accounts(self, platforms: Collection[str] | None = None) -> list[Account]:
        """The accounts in the file's order: all, or those of some platforms."""
        accounts = (parse_account(name) for name in self._root.entries if "." in name)
        return [a for a in accounts if platforms is None or a.platform in platforms]

    def connector_config(self, account: Account, kind: type[T]) -> T:
        """The connector's part of an account. Raises ConfigError."""
        exposed = self.settings().exposed
        decoder = self._decoder()
        config = self._connector_config(decoder, account, kind, exposed=exposed)
        return _decoded(decoder, config)

    def protocol_config(self, account: Account, protocol: str, kind: type[T]) -> T:
        """A bot standard's part of an account, over that of `general`. Raises ConfigError."""
        exposed = self.settings().exposed
        decoder = self._decoder()
        config = self._protocol_config(decoder, account, protocol, kind, exposed=exposed)
        return _decoded(decoder, config)

    def warnings(self) -> list[Problem]:
        """What is worth a word and stops nothing."""
        return [*self._noted, *self._open_secrets()]

    def problems(self) -> list[Problem]:
        """Everything that is wrong in any part, and the warnings."""
        decoder = self._decoder()
        exposed = self._settings(decoder).exposed
        for protocol in installed.protocols():
            kind = installed.protocol_config(protocol)
            decoder.values(self._block("general", protocol), kind, partial=True)
        for account in self.accounts():
            self._check_account(decoder, account, exposed=exposed)
        return in_order([*decoder.problems, *self.warnings()])

    def _check_account(self, decoder: Decoder, account: Account, *, exposed: bool) -> None:
        try:
            connector = installed.connector_class(account.platform)
        except Misconfigured as error:
            decoder.report(self._block(str(account)), str(error))
        else:
            self._connector_config(decoder, account, connector.Config, exposed=exposed)
        for protocol in installed.protocols():
            kind = installed.protocol_config(protocol)
            self._protocol_config(decoder, account, protocol, kind, exposed=exposed)

    def _settings(self, decoder: Decoder) -> Settings:
        names = {name: node for name, node in self._root.entries.items() if is_setting(name)}
        block = Block(0, "", self._with_bus_url(names))
        settings = decoder.config(block, Settings, exposed=False)
        if settings:
            return settings
        # Wrong, and reported; but whether others can reach us decides what else to say.
        reach: dict[str, Node] = {
            name: names[name] for name in ("host", "loopback_only") if name in names
        }
        alone = self._decoder().config(Block(0, "", reach), Settings, exposed=False)
        return alone or Settings()

    def _with_bus_url(self, entries: dict[str, Node]) -> dict[str, Node]:
        """NATS_URL in the place of `bus.url`, which is then not even read."""
        url = self._environ.get("NATS_URL")
        bus = entries.get("bus") or Block(0, "bus", {})
        if not url or not isinstance(bus, Block):
            return entries
        node = Scalar(0, "NATS_URL", url.replace("${", "$${"), quoted=True)
        return entries | {"bus": Block(bus.line, bus.key, bus.entries | {"url": node})}

    def _connector_config(
        self, decoder: Decoder, account: Account, kind: type[T], *, exposed: bool
    ) -> T | None:
        whole = self._block(str(account))
        own = {name: node for name, node in whole.entries.items() if "." not in name}
        block = Block(whole.line, whole.key, own)
        return decoder.config(block, kind, exposed=exposed, also=installed.protocols())

    def _protocol_config(
        self, decoder: Decoder, account: Account, protocol: str, kind: type[T], *, exposed: bool
    ) -> T | None:
        general = self._block("general", protocol)
        own = self._block(str(account), protocol)
        # A key without a value is not given, so it does not hide the one in `general`.
        given = {name: node for name, node in own.entries.items() if not is_empty(node)}
        block = Block(own.line, own.key, general.entries | given)
        return decoder.config(block, kind, exposed=exposed)

    def _block(self, *names: str) -> Block:
        """A block below the root; an empty one, at the line of what is there, when it is not."""
        block = self._root
        for name in names:
            node = block.entries.get(name)
            key = f"{block.key}.{name}" if block.key else name
            block = node if isinstance(node, Block) else Block(_line(node, block), key, {})
        return block

    def _decoder(self) -> Decoder:
        return Decoder(str(self.path), self._environ, self.path.parent)

    def _open_secrets(self) -> Iterator[Problem]:
        """Secrets written out in a file that other users of the machine can read."""
        secret = next(_literal_secrets(self._root), None)
        if secret and self.path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            text = "a secret in a file that other users can read"
            fix = f"chmod 600 {self.path}, or write ${{VAR}} or ${{file:/path}} instead"
            yield Problem(str(self.path), secret.line, secret.key, text, fix, severity="warning")


def load(path: Path | str, environ: Mapping[str, str] | None = None) -> Source:
    """Read a file and check its shape: YAML, top-level keys, names of accounts.

    Raises ConfigError.
    """
    source, problems = _read(Path(path), environ)
    raise_errors(problems)
    return source


def load_default(environ: Mapping[str, str] | None = None) -> Source:
    """`./config.yaml`, or the packaged example (one sandbox account) where there is none."""
    return load(DEFAULT_PATH if DEFAULT_PATH.exists() else example_path(), environ)


def example_path() -> Path:
    """The packaged example."""
    return Path(str(resources.files("onebus") / "example.yaml"))


def check(path: Path | str, environ: Mapping[str, str] | None = None) -> list[Problem]:
    """Everything that is wrong with a file, for all roles; empty when nothing is."""
    try:
        source, problems = _read(Path(path), environ)
    except ConfigError as error:
        return list(error.problems)
    return in_order([*problems, *source.problems()])


def _read(path: Path, environ: Mapping[str, str] | None) -> tuple[Source, list[Problem]]:
    """The file without what has no place in it, and the problems with that."""
    file = str(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        fix = "write one, or name another with -c FILE"
        problem = Problem(file, 0, "", f"cannot be read: {error.strerror}", fix)
        raise ConfigError([problem]) from error
    root, problems = parse(data, file)
    problems += Shape(file).problems(root)
    wrong = {problem.key for problem in problems}
    fit = {name: node for name, node in root.entries.items() if _fits(name, node, wrong)}
    environ = os.environ if environ is None else environ
    noted = [problem for problem in problems if problem.severity == "warning"]
    return Source(path, Block(root.line, root.key, fit), environ, noted), problems


def _fits(name: str, node: Node, wrong: Collection[str]) -> bool:
    """Whether an entry at the top can be worked with, however wrong it is inside."""
    if "." in name:
        return name not in wrong and (isinstance(node, Block) or is_empty(node))
    return name == "general" or is_setting(name)


def _line(node: Node | None, parent: Block) -> int:
    return node.line if node else parent.line


def _decoded(decoder: Decoder, config: T | None) -> T:
    decoder.raise_if_wrong()
    if config is None:
        raise AssertionError("a part that cannot be decoded is reported")
    return config


_URL_WITH_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


def _literal_secrets(node: Node) -> Iterator[Scalar]:
    """The secrets that are written in the file itself."""
    if isinstance(node, Block):
        for entry in node.entries.values():
            yield from _literal_secrets(entry)
    elif isinstance(node, Items):
        for item in node.items:
            yield from _literal_secrets(item)
    elif _is_literal_secret(node):
        yield node


def _is_literal_secret(node: Scalar) -> bool:
    if not node.text or is_empty(node) or has_reference(node.text):
        return False
    return is_secret(node.key) or bool(_URL_WITH_PASSWORD.search(node.text))
