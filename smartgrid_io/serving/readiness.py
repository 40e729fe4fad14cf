"""Whether every configured label of the served models answers, and the reasons if not.

A process that answers with the model calls `ask_readiness` in its `/ready` and answers 503 with
the reasons while it is not ready.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smartgrid_core.errors import ModelUnavailableError, PublicationError
from smartgrid_core.rollout.labels import ServingState
from smartgrid_io.serving.model_repository import ModelServerRepository

Answering = Mapping[tuple[str, str], str | None]
"""The version that answers for each (model, label); None if none does."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Why not everything that is configured answers; ready means that there is no reason."""

    reasons: tuple[str, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether every configured label answers."""
        return not self.reasons


def judge_readiness(configured: Sequence[ServingState], answering: Answering) -> Readiness:
    """Return why not every label of the config answers with the version that the config has for
    it.

    Nothing configured is not ready: there is no model to depend on.
    """
    reasons = [
        f"{served.model}: label {label} means version {version}, "
        f"{_describe_version(answering.get((served.model, label)))} answers"
        for served in configured
        for label, version in served.labels.items()
        if answering.get((served.model, label)) != str(version)
    ]
    reasons += [
        f"{served.model}: no version is labelled" for served in configured if not served.labels
    ]
    return Readiness(tuple(reasons) if configured else ("no model was published yet",))


def ask_readiness(repository: ModelServerRepository) -> Readiness:
    """Read the config, ask the model server about each label, and return what is missing.

    A config that cannot be read, or a server that is away, is a reason, not an error.
    """
    try:
        configured = repository.all_served()
        answering = {
            (served.model, label): repository.client.find_labelled_version(served.model, label)
            for served in configured
            for label in served.labels
        }
    except (ModelUnavailableError, PublicationError) as error:
        return Readiness((str(error),))
    return judge_readiness(configured, answering)


def _describe_version(version: str | None) -> str:
    return "none" if version is None else f"version {version}"
