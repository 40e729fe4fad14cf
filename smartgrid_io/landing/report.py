"""The report of what became of a landed file."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason for which rows of a file are in quarantine."""

    reason: str
    """Name of the reason, such as `missing_id`."""
    rows: int
    """Rows that are in quarantine for it."""
    message: str
    """What is wrong with one of them, and the mend."""


@dataclass(frozen=True, slots=True)
class LandingReport:
    """What became of a file."""

    source: str
    """The file's name."""
    source_sha256: str
    """SHA-256 of its content, hexadecimal."""
    status: Literal["landed", "already_landed", "refused", "growing"]
    """`landed`: its good rows are in the table. `already_landed`: the same content was landed
    before, nothing happened. `refused`: nothing of it could be used. `growing`: it changed while it
    was read, nothing happened."""
    dataset: str = "unknown"
    """The table that the file fills."""
    size_bytes: int = 0
    """Size of the file as it lies there, packed or not."""
    rows_read: int = 0
    """New, changed, repeated and refused rows together."""
    rows_new: int = 0
    """Rows whose key was not stored."""
    rows_changed: int = 0
    """Rows that replaced a value."""
    rows_repeated: int = 0
    """Rows without effect."""
    rows_refused: int = 0
    """Rows in quarantine; readings, not faults, are counted."""
    rows_removed: int = 0
    """Nodes of the grid that a whole tree left out."""
    days: Sequence[date] = ()
    """UTC days whose readings or brackets changed, in order."""
    message: str | None = None
    """Why the file as a whole was refused, also at an earlier landing."""
    landed_as: str | None = None
    """The name under which the same content was landed before; None if it never was."""
    refusals: Sequence[Refusal] = ()
    """The most frequent reasons, also of an earlier landing."""

    @property
    def is_refused_whole(self) -> bool:
        """Whether nothing of the file could be used, now or when it was landed."""
        nothing = self.rows_read > 0 and self.rows_refused >= self.rows_read
        return self.status != "growing" and (self.dataset == "unknown" or nothing)
