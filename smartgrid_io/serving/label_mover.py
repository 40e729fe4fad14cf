"""Moves of labels: each one rename between loaded versions; alias and journal follow.

Neither TensorFlow nor MLflow's client is imported: going back takes a second, not a training.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import dataframely as dy
import polars as pl

from smartgrid_core.contracts.serving import LabelMoves
from smartgrid_core.errors import PublicationError, SmartGridError
from smartgrid_core.model_protocols import ModelRepository
from smartgrid_core.protocols import WriteResult
from smartgrid_core.rollout.label_journal import Action, build_label_moves
from smartgrid_core.rollout.labels import CHAMPION, ServingState

Move = Callable[[ServingState], ServingState]
"""What is served -> what shall be served."""


class Aliases(Protocol):
    """The part of a ModelRegistry that follows the labels."""

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Let `alias` mean this version from now on."""
        ...


class Journal(Protocol):
    """The part of a Warehouse that keeps label moves."""

    def read(self, schema: type[dy.Schema]) -> pl.DataFrame:
        """Return all rows."""
        ...

    def upsert(self, schema: type[dy.Schema], rows: pl.DataFrame) -> WriteResult:
        """Add rows."""
        ...


@dataclass(frozen=True, slots=True)
class LabelMoveResult:
    """What is served before and after a move."""

    before: ServingState
    """What was served before the move."""
    after: ServingState
    """What is served now."""
    troubles: tuple[str, ...] = ()
    """Sentences about what could not follow: the server, the registry's alias or the journal."""

    @property
    def is_new(self) -> bool:
        """Whether a label changed; versions without one come and go."""
        return self.before.labels != self.after.labels


@dataclass(frozen=True, slots=True)
class LabelMover:
    """Moves labels in a model repository and has the registry's alias and the journal follow.

    The label is what counts: a server, registry or database that is away is reported in `troubles`.
    The server takes the config when it is back; alias and journal are made good by the next move.
    """

    repository: ModelRepository
    aliases: Aliases
    journal: Journal
    by: str
    """The asset, job or command that moves."""

    def roll_back(
        self, model: str, *, to: int | None, reason: str, now: datetime
    ) -> LabelMoveResult:
        """Take back what was done last, or make `to` stable: see `ServingState.roll_back`.

        A version that lies in the model repository and is not loaded is loaded first.

        Args:
            model: Name of the model.
            to: The version that becomes stable; None takes back the canary, or else the stable
                version.
            reason: Why, for `label_moves`.
            now: The present instant, UTC.

        Raises:
            PublicationError: There is nothing to go back to, no such version, or it does not load.
        """
        served = self.repository.read_state(model)
        if to is not None and to not in served.versions:
            served.roll_back(to)
            self._load(model, to)
        return self._move(
            model, lambda each: each.roll_back(to), action="rolled_back", reason=reason, now=now
        )

    def promote(
        self, model: str, *, reason: str, now: datetime, canary: int | None = None
    ) -> LabelMoveResult:
        """Make the canary stable; nothing happens if it is no longer the version `canary`.

        Args:
            model: Name of the model.
            reason: Why, for `label_moves`.
            now: The present instant, UTC.
            canary: The version that was judged; None takes any canary.

        Raises:
            PublicationError: There is no canary and none was named.
        """
        move = _limit_to_canary(ServingState.promote, canary=canary)
        return self._move(model, move, action="promoted", reason=reason, now=now)

    def end_trial(
        self, model: str, *, reason: str, now: datetime, canary: int | None = None
    ) -> LabelMoveResult:
        """Let stable answer alone; nothing happens if the canary is no longer `canary`.

        Args:
            model: Name of the model.
            reason: Why, for `label_moves`.
            now: The present instant, UTC.
            canary: The version that was judged; None takes any canary.

        Raises:
            PublicationError: There is no canary and none was named.
        """
        move = _limit_to_canary(ServingState.drop_canary, canary=canary)
        return self._move(model, move, action="rolled_back", reason=reason, now=now)

    def follow(
        self, moved: LabelMoveResult, *, action: Action, reason: str, now: datetime
    ) -> LabelMoveResult:
        """Have alias and journal follow what is served now; return the result with what could not
        follow.

        Args:
            moved: What was served before and after the move.
            action: The kind of move, for `label_moves`.
            reason: Why, for `label_moves`.
            now: The present instant, UTC.
        """
        import psycopg

        after, troubles = moved.after, list(moved.troubles)
        if after.stable is not None:
            try:
                self.aliases.set_alias(after.model, CHAMPION, str(after.stable))
            except SmartGridError as error:
                troubles.append(f"the registry's alias {CHAMPION} was not moved: {error}")
        try:
            rows = build_label_moves(
                self.journal.read(LabelMoves),
                before=moved.before,
                after=after,
                action=action,
                reason=reason,
                by=self.by,
                now=now,
            )
            self.journal.upsert(LabelMoves, rows)
        except (SmartGridError, psycopg.Error) as error:
            troubles.append(f"label_moves was not written: {error}".strip())
        return LabelMoveResult(moved.before, after, tuple(troubles))

    def _move(
        self,
        model: str,
        move: Move,
        *,
        action: Action,
        reason: str,
        now: datetime,
    ) -> LabelMoveResult:
        """Change the labels, wait until the server answers so, and have alias and journal follow.

        Args:
            model: Name of the model.
            move: What is served -> what shall be served.
            action: The kind of move, for `label_moves`.
            reason: Why, for `label_moves`.
            now: The present instant, UTC.
        """
        before = self.repository.read_state(model)
        after = self.repository.update_state(model, lambda served: move(served).keep_loaded(served))
        troubles = []
        for label, version in after.labels.items():
            try:
                self.repository.wait_until_labelled(model, label, version)
            except PublicationError as error:
                troubles.append(f"the model server does not follow yet: {error}")
        if not troubles:
            after = self.repository.update_state(model, ServingState.drop_former)
        moved = LabelMoveResult(before, after, tuple(troubles))
        return self.follow(moved, action=action, reason=reason, now=now)

    def _load(self, model: str, version: int) -> None:
        published = self.repository.list_versions(model)
        if version not in published:
            there = ", ".join(map(str, published)) or "none"
            raise PublicationError(
                f"roll back: version {version} of {model} is not in the model folder; "
                f"there are {there}"
            )
        self.repository.update_state(model, lambda served: served.add_trial(version))
        try:
            self.repository.wait_until_live(model, version)
        except PublicationError:
            self.repository.update_state(model, lambda served: served.drop_trial(version))
            raise


def _limit_to_canary(move: Move, *, canary: int | None) -> Move:
    """Return the move, limited to a model whose canary is this version; any canary for None."""
    return lambda each: move(each) if canary in (None, each.canary) else each
