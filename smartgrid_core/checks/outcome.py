"""What a judgement returns: a sentence on how things stand, the faults, and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MOST_NAMED = 5
"""Things that a sentence names; more are counted."""


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """The judgement on the rows of one asset."""

    summary: str
    """One sentence on how things stand, also when nothing is wrong."""
    wrong_rows: tuple[str, ...] = ()
    """Sentences on rows that would mislead people; these faults are errors."""
    warnings: tuple[str, ...] = ()
    """Sentences on what calls for a look, although the rows may be shown."""
    figures: Mapping[str, int | float | str] = field(default_factory=dict)
    """Numbers and short texts to show beside the sentences."""

    @property
    def passed(self) -> bool:
        """Whether there is no fault of either sort."""
        return not self.faults

    @property
    def faults(self) -> tuple[str, ...]:
        """All faults, the errors first."""
        return (*self.wrong_rows, *self.warnings)


def list_names(names: Sequence[object], *, most: int = MOST_NAMED) -> str:
    """Return the first names and how many more there are.

    >>> list_names(["F1", "F2", "F3"], most=2)
    'F1, F2 and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(str(name) for name in names[:most]) + more
