"""Plants each fault in a copy of the project, and sees whether the test named for it fails.

`python -m tests.mutants.run [NUMBER…]` is run at the root of the project. A fault counts as caught
when the very test that docs/conformance.json names for its statement fails by itself, and passes
without the fault. One that breaks the collection or a fixture is not caught: what it breaks is too
much to say anything about the test.
"""

import argparse
import compileall
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from py_compile import PycInvalidationMode
from queue import Queue
from tempfile import TemporaryDirectory
from typing import TypeVar
from xml.etree import ElementTree as ET

from msgspec import Struct
from tests.mutants.mutants import MUTANTS, Mutant, MutantError, changed, named_tests

COPIED = ("shared", "services", "tests", "docs", "pyproject.toml", "README.md")
TIMEOUT_S = 120
PYTEST = (
    *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
    *("-p", "pytest_asyncio.plugin", "-p", "pytest_timeout"),
)
"""Few plugins, so that it starts quickly."""

NONSENSE = ("NameError", "UnboundLocalError", "ImportError", "ModuleNotFoundError")
"""How code fails that nobody could have written: it says nothing about the test."""

T = TypeVar("T")
R = TypeVar("R")


class Outcome(Struct, frozen=True):
    """How a run of tests went; `text` is of the first that did not pass."""

    passed: int
    failed: int
    broken: int
    text: str = ""

    @property
    def fine(self) -> bool:
        return self.passed > 0 and not self.failed and not self.broken


class Verdict(Struct, frozen=True):
    """What became of a fault; `text` says how the test failed, or what went wrong."""

    mutant: Mutant
    test: str
    caught: bool
    text: str

    @property
    def line(self) -> str:
        word = "caught" if self.caught else "MISSED"
        test = self.test.removeprefix("tests/")
        return f"{word}  {self.mutant.n:3d}  {self.mutant.why:<52}  {test:<76}  {self.text[:70]}"


def outcome_of(report: str) -> Outcome:
    """A JUnit report → how it went. An error is what fails outside of the test itself."""
    suite = next(ET.fromstring(report).iter("testsuite"))
    total, failed, broken = (int(suite.get(key, 0)) for key in ("tests", "failures", "errors"))
    first = next((node for kind in ("error", "failure") for node in suite.iter(kind)), None)
    text = " ".join(first.get("message", "").split()) if first is not None else ""
    return Outcome(total - failed - broken, failed, broken, text)


def judged(mutant: Mutant, test: str, outcome: Outcome) -> Verdict:
    """Whether the test caught the fault."""
    if outcome.broken:
        return Verdict(mutant, test, caught=False, text=f"broke more: {outcome.text}")
    if outcome.text.startswith(NONSENSE):
        return Verdict(mutant, test, caught=False, text=f"nonsense: {outcome.text}")
    if not outcome.failed:
        return Verdict(mutant, test, caught=False, text=f"{outcome.passed} passed")
    return Verdict(mutant, test, caught=True, text=outcome.text)


class Copy:
    """A copy of the project, where tests find the copied code and not the installed one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        paths = os.pathsep.join(str(root / name) for name in ("shared", "services"))
        self._env = os.environ | {"PYTHONPATH": paths, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

    def check(self) -> None:
        """Raises MutantError when it is the installed code after all that is imported."""
        command = "import onebus, frontends.onebot_v11 as f; print(onebus.__file__, f.__file__)"
        done = self._run(sys.executable, "-c", command)
        if done.stdout.count(str(self.root)) != 2:
            raise MutantError(f"the copy is not what is imported: {done.stdout}{done.stderr}")

    def test(self, *tests: str) -> Outcome:
        """Run these tests, until one fails."""
        report = self.root / "report.xml"
        report.unlink(missing_ok=True)
        try:
            done = self._run(*PYTEST, "-x", f"--junitxml={report}", *tests)
        except subprocess.TimeoutExpired:
            return Outcome(0, 0, 1, f"no end after {TIMEOUT_S} s")
        if done.returncode not in (0, 1) or not report.exists():
            return Outcome(0, 0, 1, " ".join(f"{done.stdout} {done.stderr}".split()[-40:]))
        return outcome_of(report.read_text(encoding="utf-8"))

    @contextmanager
    def planted(self, mutant: Mutant) -> Iterator[None]:
        """The fault is there until the block ends. Raises MutantError."""
        path = self.root / mutant.file
        source = path.read_text(encoding="utf-8")
        path.write_text(changed(mutant, source), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(source, encoding="utf-8")

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.root,
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )


def copies(project: Path, folder: Path, count: int) -> list[Copy]:
    """So many copies. Their bytecode is checked by hash: a fault may leave time and size alone."""
    first = folder / "0"
    first.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "node_modules")
    for name in COPIED:
        source = project / name
        if source.is_dir():
            shutil.copytree(source, first / name, ignore=ignored)
        else:
            shutil.copy2(source, first / name)
    compileall.compile_dir(first, quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
    for i in range(1, count):
        shutil.copytree(first, folder / str(i))
    found = [Copy(folder / str(i)) for i in range(count)]
    for copy in found:
        copy.check()
    return found


class Workshop:
    """Several copies, in which work is done at once."""

    def __init__(self, there: Sequence[Copy]) -> None:
        self._count = len(there)
        self._free: Queue[Copy] = Queue()
        for copy in there:
            self._free.put(copy)

    def faulty(self, tests: Iterable[str]) -> Iterator[str]:
        """Tests that fail without any fault, and how.

        A file's tests are run together; where one fails, each by itself, as it is for a fault.
        """
        files: dict[str, list[str]] = {}
        for test in dict.fromkeys(tests):
            files.setdefault(test.partition("::")[0], []).append(test)
        whole = self._each(lambda copy, file: copy.test(*files[file]), files)
        alone = [test for file, outcome in whole if not outcome.fine for test in files[file]]
        for test, outcome in self._each(lambda copy, test: copy.test(test), alone):
            if not outcome.fine:
                yield f"{test} fails without any fault: {outcome.text}"

    def verdicts(self, mutants: Sequence[Mutant], tests: Mapping[int, str]) -> Iterator[Verdict]:
        """What becomes of each fault, in order."""

        def judge(copy: Copy, mutant: Mutant) -> Verdict:
            test = tests[mutant.n]
            try:
                with copy.planted(mutant):
                    return judged(mutant, test, copy.test(test))
            except MutantError as error:
                return Verdict(mutant, test, caught=False, text=str(error))

        for _, verdict in self._each(judge, mutants):
            yield verdict

    def _each(self, work: Callable[[Copy, T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
        def do(item: T) -> tuple[T, R]:
            copy = self._free.get()
            try:
                return item, work(copy, item)
            finally:
                self._free.put(copy)

        with ThreadPoolExecutor(self._count) as pool:
            yield from pool.map(do, items)


def run(mutants: Sequence[Mutant], jobs: int) -> bool:
    """Judge these faults and print a table; whether all were caught. Raises MutantError."""
    project, started_at = Path.cwd(), time.monotonic()
    tests = named_tests(project)
    if unproven := [mutant.name for mutant in mutants if mutant.n not in tests]:
        raise MutantError(f"no test is named for: {'; '.join(unproven)}")
    with TemporaryDirectory(prefix="mutants-") as folder:
        workshop = Workshop(copies(project, Path(folder), jobs))
        if faulty := list(workshop.faulty(tests[mutant.n] for mutant in mutants)):
            raise MutantError("\n".join(faulty))
        missed = 0
        for verdict in workshop.verdicts(mutants, tests):
            print(verdict.line, flush=True)
            missed += not verdict.caught
    took_s = time.monotonic() - started_at
    print(f"{len(mutants) - missed} of {len(mutants)} faults were caught in {took_s:.0f} s")
    return not missed


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 when every fault was caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.run", description=__doc__)
    parser.add_argument("numbers", nargs="*", type=int, help="statements; without any, all")
    parser.add_argument("--jobs", type=int, default=3, help="how many at once (3)")
    options = parser.parse_args(arguments)
    wanted = [m for m in MUTANTS if not options.numbers or m.n in options.numbers]
    try:
        return 0 if run(wanted, options.jobs) else 1
    except MutantError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
