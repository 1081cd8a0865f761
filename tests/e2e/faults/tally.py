"""What became of many inputs: how often each outcome came, how long it took, what was not right."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from frontends.onebot_v11.retcode import RETCODES

KEPT = 5
_RETCODES = {0, 1} | {retcode for retcode, _ in RETCODES.values()} - {10007}


def documented(answer: Any) -> bool:
    """Whether this is an answer as documented, and no fault of onebus."""
    status, retcode = answer["status"], answer["retcode"]
    expected = {0: "ok", 1: "async"}.get(retcode, "failed")
    return status == expected and retcode in _RETCODES


def p99_ms(taken_s: Sequence[float]) -> float:
    """The time in ms that 99 of 100 do not exceed; infinite for none at all."""
    if not taken_s:
        return math.inf
    ordered = sorted(taken_s)
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * 0.99) - 1)] * 1000


class Tally:
    """Of one transport. `wrong` keeps the first inputs whose outcome nobody documented."""

    def __init__(self, documented: Sequence[str]) -> None:
        self.outcomes: Counter[str] = Counter()
        self.taken_s: list[float] = []
        self.wrong: list[str] = []
        self.wrong_count = 0
        self._documented = frozenset(documented)

    def add(self, outcome: str, taken_s: float, what: object) -> None:
        """One input had this outcome after this time."""
        self.outcomes[outcome] += 1
        self.taken_s.append(taken_s)
        if outcome not in self._documented:
            self.wrong_count += 1
            if len(self.wrong) < KEPT:
                self.wrong.append(f"{outcome}: {what!r:.300}")

    @property
    def p99_ms(self) -> float:
        return p99_ms(self.taken_s)

    def good(self, limit_ms: float) -> bool:
        """Whether each was answered as documented, and 99 of 100 in time."""
        return not self.wrong_count and self.p99_ms <= limit_ms

    def __str__(self) -> str:
        outcomes = " ".join(f"{name}×{count}" for name, count in sorted(self.outcomes.items()))
        wrong = f"; UNDOCUMENTED {self.wrong_count}, e.g. {self.wrong[0]}" if self.wrong else ""
        return f"{self.outcomes.total():,} inputs, p99 {self.p99_ms:.0f} ms: {outcomes}{wrong}"
