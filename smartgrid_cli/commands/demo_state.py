"""What the demo has decided once and for all, and which of its steps are behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from smartgrid_cli.machine.home import Home, read_json, write_json
from smartgrid_core.errors import ConfigurationError

SEED = 7
FEWEST_DAYS = 7


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """Which days the demo is about: `days` UTC days, the last of which ends where `end` begins.

    Attributes:
        end: The UTC day at whose start the readings end.
        days: Number of UTC days with readings.
        seed: Seed of the readings and faults.
    """

    end: date
    days: int
    seed: int

    @property
    def first_day(self) -> date:
        """The first UTC day with readings."""
        return self.end - timedelta(days=self.days)

    @property
    def last_day(self) -> date:
        """The last UTC day with readings."""
        return self.end - timedelta(days=1)

    @property
    def forecast_day(self) -> date:
        """The UTC day that is forecast: the one after the readings."""
        return self.end

    @property
    def environment(self) -> dict[str, str]:
        """The settings that every process needs of the plan."""
        return {
            "SMARTGRID_FIRST_DAY": str(self.first_day),
            "SMARTGRID_LAST_DAY": str(self.forecast_day),
            "SMARTGRID_READINGS_END": str(self.end),
        }


class DemoState:
    """`<home>/demo.json`: written after each step, so that a killed demo continues where it was."""

    def __init__(self, home: Home) -> None:
        self._path = home.demo
        self._content: dict[str, Any] = read_json(self._path)

    @property
    def plan(self) -> DemoPlan | None:
        """The plan of the first run; None before it."""
        kept = self._content.get("plan")
        if kept is None:
            return None
        return DemoPlan(date.fromisoformat(kept["end"]), kept["days"], kept["seed"])

    def decide(self, *, days: int | None, end: date | None, today: date) -> DemoPlan:
        """The plan: the kept one, else a new one that ends today, which `keep_plan` makes last.

        Raises ConfigurationError for wishes that contradict the kept plan, or too few days.
        """
        kept = self.plan
        if kept is not None:
            if (kept.days if days is None else days, end or kept.end) != (kept.days, kept.end):
                raise ConfigurationError(
                    f"this home holds the demo of {kept.days} days before {kept.end}: "
                    "`make clean-state` removes it, SMARTGRID_HOME names another home"
                )
            return kept
        plan = DemoPlan(end or today, 60 if days is None else days, SEED)
        if plan.days < FEWEST_DAYS:
            raise ConfigurationError(f"the demo needs at least {FEWEST_DAYS} days, got {plan.days}")
        if plan.end > today:
            raise ConfigurationError(f"the demo ends today at the latest, got {plan.end}")
        return plan

    def keep_plan(self, plan: DemoPlan) -> None:
        """Write the plan down: all that runs in the home is about its days from now on."""
        if self.plan != plan:
            self._keep(plan={"end": str(plan.end), "days": plan.days, "seed": plan.seed})

    def is_done(self, step: str) -> bool:
        """Return whether the step is done."""
        return step in self._content.get("done", {})

    def read_facts(self, step: str) -> dict[str, Any]:
        """Return what was given to `finish` for the step."""
        found: dict[str, Any] = self._content["done"][step]
        return found

    def finish(self, step: str, **facts: Any) -> None:
        """Write down that the step is done; `facts` are JSON."""
        self._keep(done={**self._content.get("done", {}), step: facts})

    def _keep(self, **parts: Mapping[str, Any]) -> None:
        self._content = {**self._content, **parts}
        write_json(self._path, self._content)


def as_text(paths: Sequence[Path]) -> list[str]:
    """Return paths as JSON holds them."""
    return [str(path) for path in paths]
