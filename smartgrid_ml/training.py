"""From a leaderboard to a registered model: train on all days, export, write it down."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import polars as pl

from smartgrid_core.model_protocols import ModelRegistry, ModelVersion
from smartgrid_core.time import HOUR, Window
from smartgrid_ml.automl.trials import Recipe
from smartgrid_ml.export.artifact.golden import write_golden
from smartgrid_ml.export.artifact.parity import (
    as_served,
    check_export_parity,
    make_hard_rows,
    select_golden_batch,
)
from smartgrid_ml.export.artifact.saved_model import export_forecaster
from smartgrid_ml.export.artifact.warmup import write_warmup
from smartgrid_ml.forecasting.protocol import ServableForecaster
from smartgrid_ml.forecasting.registry import create_forecaster

EXPERIMENT = "load_forecaster"
"""One experiment for all that is learned about load: people compare its runs side by side."""

FINGERPRINT = "smartgrid.fingerprint"
"""On a run: the hash of what it learned from, so that the same training is found, not repeated."""

TEST_SHARE = 0.25
LONGEST_TEST = timedelta(days=56)
"""A quarter of the days, at most eight weeks."""

PARITY_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class TrainingNotes:
    """What is written down with a training beside the settings of its forecaster.

    Attributes:
        metrics: Scores of the backtest that chose it; None where a score is unknown.
        params: What says where it comes from, such as the backtest's id.
        figures: Matplotlib figures by the name that people see them under.
        tags: MLflow tags of the run.
    """

    metrics: Mapping[str, float | None]
    params: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def choose_test_span(issue_times: pl.Series) -> tuple[datetime, datetime]:
    """Return the issue times that a backtest holds back, [start, end): the newest of the data."""
    first, last = cast(datetime, issue_times.min()), cast(datetime, issue_times.max())
    held_back = min((last - first) * TEST_SHARE, LONGEST_TEST)
    days = max(1, round(held_back / timedelta(days=1)))
    end = last + HOUR
    return last - timedelta(days=days - 1), end


def find_known_window(features: pl.DataFrame) -> Window:
    """Return the window from the first hour whose load is known to behind the last one."""
    hours = features.filter(pl.col("load_kw").is_not_null())["hour_start"]
    return Window(cast(datetime, hours.min()), cast(datetime, hours.max()) + HOUR)


def hash_training(features: pl.DataFrame, *, name: str, recipe: Recipe | None = None) -> str:
    """Return the hash of a model's name and recipe, and of every row that it learns from."""
    if recipe is not None:
        name = f"{name} {json.dumps(recipe, sort_keys=True)}"
    content = features.sort("feeder_id", "issue_time", "hour_start").write_ipc(None).getvalue()
    return hashlib.sha256(name.encode() + b"\0" + content).hexdigest()


def train_and_register(
    features: pl.DataFrame,
    *,
    name: str,
    registry: ModelRegistry,
    model: str,
    notes: TrainingNotes,
    recipe: Recipe | None = None,
) -> ModelVersion:
    """Return the registered version of a forecaster that was trained on every known row.

    The SavedModel carries its golden batch and warm-up requests along. The same features give the
    version that they gave before. A training that was killed is closed as FAILED and done again.

    Args:
        features: Rows of `LoadFeatures`; those whose load is unknown are left out.
        name: The forecaster, as `smartgrid_ml.forecasting.registry` knows it.
        registry: Where the run, the model and its version are kept.
        model: The registered model that gets a new version.
        notes: What is written down beside the settings.
        recipe: What a search or a blend found in the backtest; without one an engine would search.

    Raises:
        PublicationError: the exported graph does not answer as the forecaster does.
    """
    known = features.filter(pl.col("load_kw").is_not_null())
    fingerprint = hash_training(known, name=name, recipe=recipe)
    done = registry.find_by_tag(EXPERIMENT, FINGERPRINT, fingerprint)
    if done is not None:
        return registry.register(model, done)
    registry.fail_unfinished(EXPERIMENT, FINGERPRINT, fingerprint)
    untrained = cast(ServableForecaster, create_forecaster(name, recipe=recipe))
    run_id = registry.log_training(
        EXPERIMENT,
        params={
            "forecaster": name,
            "rows": known.height,
            "series": known["feeder_id"].n_unique(),
            **_describe_settings(untrained),
            **notes.params,
        },
        metrics=notes.metrics,
        data_window=find_known_window(known),
        figures=notes.figures or None,
        tables={} if recipe is None else {"recipe": _as_table(recipe)},
        tags={FINGERPRINT: fingerprint, **notes.tags},
        run_name=name,
    )
    try:
        fitted = untrained.fit(known)
        inputs = tuple(fitted.feature_names)
        with tempfile.TemporaryDirectory() as folder:
            saved_model = export_forecaster(fitted, Path(folder) / "saved_model")
            hard = make_hard_rows(as_served(known, inputs=inputs), n=PARITY_ROWS)
            check_export_parity(fitted, saved_model, rows=hard)
            golden = select_golden_batch(known, inputs=inputs)
            write_golden(saved_model, rows=golden, quantiles=fitted.predict(golden))
            write_warmup(saved_model, rows=golden, model=model)
            registry.log_saved_model(run_id, saved_model, example=golden.head(5))
        version = registry.register(model, run_id)
    except BaseException:
        registry.finish(run_id, "FAILED")
        raise
    registry.finish(run_id, "FINISHED")
    return version


def _describe_settings(untrained: ServableForecaster) -> dict[str, Any]:
    """Return its settings as parameters of a run; a recipe, too long for one, stands apart."""
    return {
        name: value
        for name, value in asdict(untrained.settings).items()
        if name not in ("recipe", "recipes", "budget")
    }


def _as_table(recipe: Recipe) -> pl.DataFrame:
    """Return a recipe line by line: columns what, value as JSON."""
    lines = [(name, json.dumps(value)) for name, value in recipe.items()]
    return pl.DataFrame(lines, schema=["what", "value"], orient="row")
