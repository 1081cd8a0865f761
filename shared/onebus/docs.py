"""Writes the parts of the documentation that the code already says.

A page marks such a part with `<!-- generated: NAME -->` and `<!-- /generated -->`; what stands
between the two is written by `python -m onebus.docs`, which is run where the pages are, and
compared by `python -m onebus.docs --check`. All else on a page is written by hand.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from onebus.docs_parts import PARTS
from onebus.errors import OnebusError

_PART = re.compile(r"(<!-- generated: ([^>]+?) -->\n)(.*?)(<!-- /generated -->)", re.DOTALL)
_OPENING = "<!-- generated: "


class DocsError(OnebusError):
    """A page cannot be written: its marks are wrong, or name what nobody generates."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages below the working directory, or compare them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m onebus.docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when out of date")
    options = parser.parse_args(arguments)
    try:
        old = out_of_date(Path())
    except OnebusError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for page, text in old.items():
        if not options.check:
            page.write_text(text, encoding="utf-8")
        said = "is out of date; run `make docs`" if options.check else "was written anew"
        sys.stderr.write(f"{page} {said}\n")
    return 1 if old and options.check else 0


def pages(root: Path) -> list[Path]:
    """Every page of the project below its root that may have generated parts.

    Raises DocsError where that is no root of it.
    """
    if not (root / "docs").is_dir():
        raise DocsError("no pages here: run it where README.md and docs/ are")
    return [root / "README.md", root / "shared" / "README.md", *sorted(root.glob("docs/**/*.md"))]


def out_of_date(root: Path) -> dict[Path, str]:
    """The pages that are not what they should be, and what they should be. Raises DocsError."""
    found = {}
    for page in pages(root):
        text = page.read_text(encoding="utf-8")
        wanted = renewed(text, str(page))
        if wanted != text:
            found[page] = wanted
    return found


def renewed(text: str, page: str) -> str:
    """A page with its generated parts written anew. Raises DocsError, which names the page."""

    def write(part: re.Match[str]) -> str:
        name = part[2]
        make = PARTS.get(name)
        if make is None:
            raise DocsError(f"{page}: nobody generates {name!r}; there are: {', '.join(PARTS)}")
        if _OPENING in part[3]:
            raise DocsError(f"{page}: the part {name!r} is not closed by <!-- /generated -->")
        return f"{part[1]}\n{make()}\n\n{part[4]}"

    if text.count(_OPENING) != text.count("<!-- /generated -->"):
        raise DocsError(f"{page}: a <!-- generated: NAME --> without <!-- /generated -->")
    return _PART.sub(write, text)


if __name__ == "__main__":
    sys.exit(main())
