"""What steps that are under way say of themselves, by observations of the assets that they make."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from smartgrid_cli.dagster_api.records import Observation, Run, Step
from smartgrid_ml.progress import SearchProgress, TrainingProgress, pass_time, read_progress

LISTEN_EVERY_S = 2.0
"""Between two questions about a step: one takes Dagster some milliseconds."""

QUIET_S = 4.0
"""A step that is over sooner is not asked."""

LONGEST_SENTENCE = 120
"""Characters of what a step says: one line of most terminals."""


class Observations(Protocol):
    """Knows what runs observed."""

    def list_observations(self, asset: str, *, run_id: str, after: float) -> list[Observation]:
        """Return what a run observed of the asset since then, oldest first."""
        ...


@dataclass(slots=True)
class _Report:
    """What one step has said so far."""

    asked: float = float("-inf")
    """When it was asked last, monotonic time, seconds."""
    read: list[Observation] = field(default_factory=list)
    """Those of the newest moment, which are answered again."""
    newest: tuple[TrainingProgress, float] | None = None
    """What it said last, and when, seconds since 1970."""
    training: tuple[TrainingProgress, float] | None = None
    """The training that it is in, to which it returns when a search has ended."""


@dataclass(slots=True)
class StepReports:
    """Reads how far steps are, each question for what is new only."""

    client: Observations
    _reports: dict[tuple[str, str], _Report] = field(default_factory=dict)

    def read(self, run: Run, steps: Sequence[Step]) -> tuple[list[Step], list[str]]:
        """Return the steps with what they say of themselves, and what has ended within them.

        Both are plain text of one line. Steps that are over, or have just begun, say nothing.
        """
        described, ended = [], []
        now = time.time()
        for step in steps:
            if step.started is None or step.ended is not None or now - step.started < QUIET_S:
                described.append(step)
                continue
            report = self._reports.setdefault((run.run_id, step.name), _Report())
            ended += self._listen(report, run=run, step=step)
            about = "" if report.newest is None else describe_report(*report.newest, now=now)
            described.append(replace(step, about=about))
        return described, ended

    def _listen(self, report: _Report, *, run: Run, step: Step) -> list[str]:
        """Read what is new of a step; return the searches in it that have ended."""
        if time.monotonic() - report.asked < LISTEN_EVERY_S:
            return []
        report.asked = time.monotonic()
        after = report.read[-1].observed if report.read else (step.started or 0.0)
        known = report.read
        found = self.client.list_observations(step.name, run_id=run.run_id, after=after)
        ended = []
        for observation in found:
            progress = read_progress(observation.facts)
            if observation in known or progress is None:
                continue
            if isinstance(progress, SearchProgress) and progress.has_ended:
                ended.append(shorten_sentence(progress.describe()))
                report.newest = report.training
                continue
            report.newest = (progress, observation.observed)
            if not isinstance(progress, SearchProgress):
                report.training = report.newest
        if found:
            report.read = [each for each in found if each.observed == found[-1].observed]
        return ended


def describe_report(progress: TrainingProgress, reported: float, *, now: float) -> str:
    """Return what a step says, now that time has passed since it said so; both since 1970, s.

    >>> describe_report(SearchProgress("tpot", 3, 1.5, left_s=80.0), 1000.0, now=1020.0)
    'tpot searches: trial 3, best so far MAE 1.5, 60 s left'
    """
    return shorten_sentence(pass_time(progress, seconds=max(0.0, now - reported)).describe())


def shorten_sentence(sentence: str) -> str:
    """Return the sentence on one line of LONGEST_SENTENCE characters at most.

    >>> shorten_sentence("two  words")
    'two words'
    """
    line = " ".join(sentence.split())
    return (
        line
        if len(line) <= LONGEST_SENTENCE
        else line[: LONGEST_SENTENCE - 1] + "\N{HORIZONTAL ELLIPSIS}"
    )
