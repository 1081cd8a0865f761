"""Which of the events that are posted beside each other are finished. Pure."""


class Floor:
    """`sequence` is the highest below which everything that began has ended."""

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self._open: dict[int, None] = {}
        self._last = sequence
        self.ahead: set[int] = set()
        """What ended above the floor."""

    @property
    def width(self) -> int:
        """How many lie between the floor and the newest."""
        return len(self._open) + len(self.ahead)

    def begin(self, sequence: int) -> None:
        """An event is under way; they begin in the order of the log."""
        self._open[sequence] = None
        self._last = sequence

    def end(self, sequence: int) -> None:
        """An event has its final answer, or needs none."""
        del self._open[sequence]
        self.ahead.add(sequence)
        lowest = next(iter(self._open), None)
        before, self.sequence = self.sequence, self._last if lowest is None else lowest - 1
        if self.sequence > before:
            self.ahead = {other for other in self.ahead if other > self.sequence}

    def settle(self, sequence: int) -> None:
        """Nothing that is ours lies before this one, and nothing is under way."""
        if not self._open:
            self.sequence = self._last = max(self._last, sequence)
