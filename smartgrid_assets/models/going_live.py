"""How a registered version goes live: published, loaded, asked, labelled, and then on record."""

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from smartgrid_core.errors import PublicationError, SmartGridError
from smartgrid_core.model_protocols import ModelRegistry, ModelRepository, ModelServer, ModelVersion
from smartgrid_core.rollout.labels import ServingState
from smartgrid_io.serving.label_mover import Journal, LabelMover, LabelMoveResult
from smartgrid_io.serving.publisher import measure_golden_parity
from smartgrid_ml.export.artifact.golden import read_golden


@dataclass(frozen=True, slots=True)
class Live:
    """A version that answers under `label`.

    `parity` is its largest relative difference to the offline answer, `removed` the versions that
    were too old to keep.
    """

    version: ModelVersion
    label: str
    parity: float
    removed: tuple[int, ...]


def go_live(
    version: ModelVersion,
    *,
    registry: ModelRegistry,
    repository: ModelRepository,
    server: ModelServer,
    journal: Journal,
    by: str,
    now: datetime,
) -> Live:
    """Publish a version, wait for the server, compare its golden answers, then give it its label.

    The first version of a model becomes stable, a later one canary: see `ServingState.give_label`.
    A new version that does not come to life, or answers otherwise than it did offline, is
    withdrawn. What was labelled before goes on answering throughout. Killed at any step, the next
    call for this version finishes the work, and one for another version undoes it. Raises
    SmartGridError naming the step that refused.

    Args:
        version: The registered version that is published.
        registry: Has its SavedModel.
        repository: The folder from which the server takes its versions.
        server: Is asked the golden batch.
        journal: Where the move of the label is written down.
        by: The asset or job that asks for it.
        now: The present instant, UTC.

    Returns:
        The version with its label.
    """
    model, number = version.name, int(version.version)
    before = repository.read_state(model)
    with tempfile.TemporaryDirectory() as folder:
        saved_model = registry.download(version, Path(folder))
        rows, offline = read_golden(saved_model)
        repository.publish(saved_model, model=model, version=number)
    repository.update_state(model, lambda served: served.add_trial(number))
    try:
        repository.wait_until_live(model, number)
        features = {name: rows[name].to_numpy() for name in rows.columns}
        parity = measure_golden_parity(server.predict(model, features, number).frame, offline)
    except SmartGridError:
        left = repository.update_state(model, lambda served: served.drop_trial(number))
        if number not in left.versions:
            repository.withdraw(model, number)
        raise
    after = repository.update_state(
        model, lambda served: served.give_label(number).keep_loaded(served)
    )
    (label,) = [name for name, labelled in after.labels.items() if labelled == number]
    repository.wait_until_labelled(model, label, number)
    after = repository.update_state(model, ServingState.drop_former)
    moved = LabelMover(repository, registry, journal, by).follow(
        LabelMoveResult(before, after),
        action="published",
        reason=f"golden answers differ by {parity:.1e} at most",
        now=now,
    )
    if moved.troubles:
        raise PublicationError(
            f"{model} version {number} answers as {label}, but {'; '.join(moved.troubles)}"
        )
    return Live(version, label, parity, tuple(repository.prune(model)))
