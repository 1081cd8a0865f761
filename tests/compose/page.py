"""The commands that a page shows, so that what people copy is what is tested."""

import os
import subprocess
import textwrap
from collections.abc import Mapping
from pathlib import Path

from tests.compose.stack import ROOT


def commands(page: str, heading: str, starting: str) -> list[str]:
    """The lines of code below a heading that begin so, in their order."""
    section = (ROOT / page).read_text().split(f"# {heading}\n")[1].split("\n#")[0]
    lines = [line for line in section.splitlines() if line.startswith("    ")]
    code = textwrap.dedent("\n".join(lines)).replace("\\\n", " ")
    return [line for line in code.splitlines() if line.startswith(starting)]


def run(
    command: str, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> str:
    """A shell command's output; one that fails is a failure that shows it."""
    done = subprocess.run(
        ["bash", "-euc", f"set -o pipefail; {command}"],
        cwd=folder,
        env={**os.environ, "no_proxy": "*", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout
