"""Which versions of a model answer, under which label, and how labels may move. Pure."""

from dataclasses import dataclass, replace

from smartgrid_core.errors import PublicationError

LOAD_FORECASTER = "load_forecaster"
"""The name under which the registry keeps the forecaster and the model server answers."""

OUTPUTS = ("p10", "p50", "p90")
"""What a forecaster's signature answers, and the columns of every forecast: kW, in this order."""

STABLE = "stable"
"""The label of the version that answers unless something else is asked for."""
CANARY = "canary"
"""The label of the version that is tried on a share of the subjects."""

CHAMPION = "champion"
"""The registry's alias of the version that is labelled stable."""

KEPT_LOADED = 3
"""The stable version and two to go back to: they are loaded, so going back takes no loading."""


@dataclass(frozen=True, slots=True)
class ServingState:
    """Which versions of one model are loaded, and what their labels are.

    `versions` are loaded, in this order: those that have been stable in the order in which they
    became so, the last of them being `stable`; then the `canary`; then one on trial that has no
    label yet. Every move returns another state and leaves this one as it is.
    """

    model: str
    """The model's name on the server."""
    versions: tuple[int, ...] = ()
    stable: int | None = None
    canary: int | None = None

    @property
    def labels(self) -> dict[str, int]:
        """The version of each label that is given to one."""
        named = {STABLE: self.stable, CANARY: self.canary}
        return {label: version for label, version in named.items() if version is not None}

    @property
    def proven(self) -> tuple[int, ...]:
        """Versions that have been stable, the present one last."""
        if self.stable is None or self.stable not in self.versions:
            return () if self.stable is None else (self.stable,)
        return self.versions[: self.versions.index(self.stable) + 1]

    @property
    def previous(self) -> int | None:
        """The version that was stable before the present one; None if there is none."""
        before = self.proven[:-1]
        return before[-1] if before else None

    def add_trial(self, version: int) -> "ServingState":
        """Return the state with this version loaded without a label, in place of another such one.

        >>> ServingState("m", (1,), stable=1).add_trial(2).versions
        (1, 2)
        """
        if version in self.proven or version == self.canary:
            return self.drop_former()
        return self._of(self.proven, canary=self.canary, trial=version)

    def drop_trial(self, version: int) -> "ServingState":
        """Return the state without a version on trial; one that is or was labelled stays."""
        if version in self.proven or version == self.canary:
            return self
        return self.drop_former()

    def give_label(self, version: int) -> "ServingState":
        """Return the state in which a version on trial has its label.

        The first one is stable, later ones are canary; one that is stable or canary stays so.

        >>> ServingState("m", (1,), stable=1).add_trial(2).give_label(2).labels
        {'stable': 1, 'canary': 2}
        """
        if self.stable is None:
            return self._of((version,))
        if version == self.stable:
            return self
        return self._of([each for each in self.proven if each != version], canary=version)

    def keep_loaded(self, before: "ServingState") -> "ServingState":
        """Return the same labels, with what was loaded before still loaded, until `drop_former`.

        So whoever still asks by a label's former version gets its answer.
        """
        former = [version for version in before.versions if version not in self.versions]
        return replace(self, versions=(*self.versions, *former))

    def drop_former(self) -> "ServingState":
        """Return the same labels, with no more loaded than they and the way back need."""
        return self._of(self.proven, canary=self.canary)

    def promote(self) -> "ServingState":
        """Return the state in which the canary is stable.

        Raises:
            PublicationError: There is no canary.

        >>> ServingState("m", (1, 2), stable=1, canary=2).promote().labels
        {'stable': 2}
        """
        if self.canary is None:
            raise PublicationError(f"promote: {self.model} has no canary")
        before = [version for version in self.proven if version != self.canary]
        return self._of([*before, self.canary])

    def drop_canary(self) -> "ServingState":
        """Return the state in which stable answers everything.

        Raises:
            PublicationError: There is no canary.
        """
        if self.canary is None:
            raise PublicationError(f"roll back: {self.model} has no canary")
        return self._of(self.proven)

    def roll_back(self, to: int | None = None) -> "ServingState":
        """Return the state before the last move: without the canary, else with the former stable.

        With `to` that version becomes stable, and the canary goes, too. Versions that became stable
        after it, or are newer than one that is no longer loaded, are dropped.

        Raises:
            PublicationError: There is nothing to go back to, or nothing would change.

        >>> ServingState("m", (1, 2), stable=2).roll_back().labels
        {'stable': 1}
        """
        if self.canary is not None and to in (None, self.stable):
            return self.drop_canary()
        if self.stable is None:
            raise PublicationError(f"roll back: no version of {self.model} is stable yet")
        target = self.previous if to is None else to
        if target is None:
            raise PublicationError(
                f"roll back: version {self.stable} of {self.model} is the first that was stable, "
                "there is none before it; name another with --to, or publish a new one"
            )
        if target == self.stable:
            raise PublicationError(f"roll back: version {target} of {self.model} is already stable")
        if target in self.proven:
            kept = self.proven[: self.proven.index(target) + 1]
        else:
            kept = (*(version for version in self.proven if version < target), target)
        return self._of(kept)

    def _of(
        self,
        proven: "tuple[int, ...] | list[int]",
        *,
        canary: int | None = None,
        trial: int | None = None,
    ) -> "ServingState":
        """Return the state of proven versions, the last of them stable, with canary and trial."""
        last = tuple(proven)[-KEPT_LOADED:]
        further = [version for version in (canary, trial) if version is not None]
        return replace(
            self, versions=(*last, *further), stable=last[-1] if last else None, canary=canary
        )
