"""What a landing says of a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason for which `rows` rows are in quarantine; `message` has the mend of one of them."""

    reason: str
    rows: int
    message: str


@dataclass(frozen=True, slots=True)
class LandingReport:
    """What became of a file. `refused` counts readings, not faults; `days` are the touched ones.

    `landed`: its good rows are in; `already_landed`: the same content was, nothing happened;
    `refused`: nothing of it could be used, `message` says why; `growing`: it changed while it was
    read, nothing happened. `refusals`: the most frequent reasons, also of a landing before;
    `message` also says why the file as a whole was refused then.
    rows_read = new + changed + repeated + refused. `rows_removed`: nodes of the grid that a whole
    tree left out.
    """

    source: str
    source_sha256: str
    status: Literal["landed", "already_landed", "refused", "growing"]
    dataset: str = "unknown"
    size_bytes: int = 0
    rows_read: int = 0
    rows_new: int = 0
    rows_changed: int = 0
    rows_repeated: int = 0
    rows_refused: int = 0
    rows_removed: int = 0
    days: Sequence[date] = ()
    message: str | None = None
    refusals: Sequence[Refusal] = ()

    @property
    def is_refused_whole(self) -> bool:
        """Did nothing of the file come to use, now or when it was landed?"""
        nothing = self.rows_read > 0 and self.rows_refused >= self.rows_read
        return self.status != "growing" and (self.dataset == "unknown" or nothing)
