"""H2O's AutoML as an engine: it searches in a JVM of its own, we score what it finds.

AutoML trains on the rows before the newest inner fold, with that fold as its leaderboard frame:
it ranks by it and never learns from it. A model is scored by us as it appears: on the newest fold,
by the mean absolute error in the unit of the load. That is the one score of a trial here: older
folds lie within what the model has learned from. AutoML's cross-validation has consecutive blocks
of issue times as folds; stacked ensembles learn from it how to weigh.
"""

import contextlib
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from smartgrid_core.errors import SmartGridError
from smartgrid_ml.automl.engine import Report
from smartgrid_ml.automl.folds import split_inner_folds
from smartgrid_ml.automl.h2o_cluster import open_h2o_cluster
from smartgrid_ml.automl.h2o_model import H2OModel
from smartgrid_ml.automl.memory import measure_memory_mb
from smartgrid_ml.automl.trials import Budget, Recipe, Trial
from smartgrid_ml.export.h2o.graph import ALGORITHMS
from smartgrid_ml.forecasting.point import Rows

MOST_ROWS = 100_000
"""So many rows are used, evenly spread: more cost trials, and tell models apart no better."""

CROSS_VALIDATION_FOLDS = 3
"""Each is one training per model: few, for a budget of minutes."""

POLL_S = 1.0
"""Between two looks at the leaderboard."""

LEAST_S = 8.0
"""So long does AutoML search at least, also when the budget was over before the JVM answered."""

LAST_S = 5.0
"""AutoML ends so long before the budget does: time to score its last models."""

TRAIN_MEMORY_MB = 4_000
"""Of the node in which a recipe is trained, and this process."""

TARGET, FOLD, SIZE = "target", "fold", "size"

_NOT_IN_RECIPE = frozenset(
    {
        "model_id",
        "training_frame",
        "validation_frame",
        "response_column",
        "ignored_columns",
        "fold_column",
        "base_models",
        "blending_frame",
        "metalearner_params",
        "export_checkpoints_dir",
        "max_runtime_secs",
        "keep_cross_validation_models",
        "checkpoint",
        "nfolds",
        "fold_assignment",
        "keep_cross_validation_predictions",
        "keep_cross_validation_fold_assignment",
        "auc_type",
        "lambda",  # a search for it finds the one that suits the rows
        "max_iterations",
        "calibration_method",
        "stopping_metric",  # cross-validation stopped already: the number of trees is in the recipe
        "stopping_tolerance",
        "stopping_rounds",
        # XGBoost's own names for parameters that are there under H2O's names, too.
        "subsample",
        "colsample_bylevel",
        "colsample_bytree",
        "min_child_weight",
        "eta",
        "n_estimators",
        "gamma",
        "max_delta_step",
        "gainslift_bins",
        "categorical_encoding",
        "monotone_constraints",
        "calibration_frame",
        "pretrained_autoencoder",
        "seed",
        "metalearner_fold_column",
        "metalearner_nfolds",
        "metalearner_fold_assignment",
    }
)
"""Parameters of a model that belong to the rows or to the search, not to its recipe."""


def search(rows: Rows, *, budget: Budget, seed: int, report: Report) -> None:
    """Let AutoML train models until the budget is used; see `Engine.search`.

    Args:
        rows: what is learned from; the newest inner fold ranks the models.
        budget: its seconds count from here on, AutoML gets LEAST_S of them at least; its memory is
            for the JVM and this process together.
        seed: of AutoML.
        report: called with every model as soon as it is scored.

    Raises:
        SmartGridError: If the rows are too few for a fold, or H2O does not start or fails.
    """
    began = time.monotonic()
    earlier, newest = split_inner_folds(rows, engine="H2O")[-1]
    earlier, newest = _thin_rows(earlier), _thin_rows(newest)
    with open_h2o_cluster(memory_mb=budget.memory_mb) as h2o:
        training, ranking = _upload_rows(h2o, earlier), _upload_rows(h2o, newest)
        left_s = max(LEAST_S, budget.seconds - (time.monotonic() - began) - LAST_S)
        automl = _make_automl(left_s, most_models=budget.trials, seed=seed)
        failed: list[BaseException] = []

        def run() -> None:
            try:
                automl.train(
                    x=list(rows.names),
                    y=TARGET,
                    training_frame=training,
                    leaderboard_frame=ranking,
                    fold_column=FOLD,
                )
            except Exception as error:  # raised below, by the thread that searches
                failed.append(error)

        running = threading.Thread(target=run, daemon=True)
        running.start()
        board = _Leaderboard(h2o, automl.project_name, newest=ranking, report=report)
        while running.is_alive():
            running.join(POLL_S)
            board.report_new()
        board.report_new()
        if failed:
            raise SmartGridError(f"H2O: {failed[0]}") from failed[0]


def _make_automl(seconds: float, *, most_models: int | None, seed: int) -> Any:
    """Return H2O's AutoML, restricted to the algorithms that can be exported."""
    from h2o.automl import H2OAutoML

    return H2OAutoML(
        max_runtime_secs=int(seconds),
        max_models=most_models,
        include_algos=list(ALGORITHMS),
        seed=seed,
        sort_metric="mae",
        stopping_metric="mae",
        distribution="laplace",  # the absolute error, where an algorithm can minimise it
        keep_cross_validation_predictions=True,  # ensembles are stacked from them
        verbosity=None,
        project_name=f"smartgrid_{time.time_ns()}",
    )


_KEPT: ContextVar["_KeptCluster | None"] = ContextVar("kept H2O cluster", default=None)
"""Where trainings find the cluster that `keep_ready` keeps; None outside of it."""


@dataclass(slots=True)
class _KeptCluster:
    """A cluster that is opened by the first training and closed with the stack."""

    stack: contextlib.ExitStack
    h2o: Any = None
    """The connected module; None before the first training."""


@contextlib.contextmanager
def keep_ready() -> Iterator[None]:
    """Let all trainings within the context share a cluster, opened by the first of them.

    To start a JVM costs ten seconds of a processor, as much as a dozen small trainings.
    """
    with contextlib.ExitStack() as stack:
        token = _KEPT.set(_KeptCluster(stack))
        try:
            yield
        finally:
            _KEPT.reset(token)


@contextlib.contextmanager
def _open_training_cluster() -> Iterator[Any]:
    """Yield the module `h2o`, connected to the kept cluster or else to one for this training."""
    kept = _KEPT.get()
    if kept is None:
        with open_h2o_cluster(memory_mb=TRAIN_MEMORY_MB) as h2o:
            yield h2o
        return
    if kept.h2o is None:
        kept.h2o = kept.stack.enter_context(open_h2o_cluster(memory_mb=TRAIN_MEMORY_MB))
    yield kept.h2o


def train(recipe: Recipe, rows: Rows, *, seed: int) -> H2OModel:
    """Return the model of a recipe, trained on at most MOST_ROWS rows; see `keep_ready`."""
    with _open_training_cluster() as h2o, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its remarks on a recipe's parameters
        model = _train_recipe(
            h2o, recipe, _upload_rows(h2o, _thin_rows(rows)), list(rows.names), seed=seed
        )
        return H2OModel(_download_mojo(model), tuple(rows.names))


class _Leaderboard:
    """The models of an AutoML run, each scored and reported once."""

    def __init__(self, h2o: Any, project: str, *, newest: Any, report: Report) -> None:
        """Begin with no model reported.

        Args:
            h2o: the connected module.
            project: the name of the AutoML run.
            newest: the uploaded rows on which models are scored.
            report: called with every new model.
        """
        self._h2o, self._project, self._newest, self._report = h2o, project, newest, report
        self._reported: set[str] = set()

    def report_new(self) -> None:
        """Score and report every model that is new."""
        for key in self._list_models():
            if key not in self._reported:
                self._reported.add(key)
                self._report(self._score_model(key))

    def _list_models(self) -> list[str]:
        """Return the keys of all models so far."""
        with contextlib.suppress(self._h2o.exceptions.H2OResponseError):  # there is none yet
            board = self._h2o.api(f"GET /99/AutoML/{self._project}")
            return [model["name"] for model in board["leaderboard"]["models"]]
        return []

    def _score_model(self, key: str) -> Trial:
        """Return the model's trial: its error on the newest rows, in the unit of the load."""
        number, parameters = len(self._reported), {"model": key}
        memory_mb = measure_memory_mb(with_children=True)
        try:
            model = self._h2o.get_model(key)
            recipe = _read_recipe(self._h2o, model)
            parameters = {"model": key, "algorithm": recipe["algorithm"], **_flatten_recipe(recipe)}
            newest = self._newest
            errors = (model.predict(newest)["predict"] - newest[TARGET]).abs() * newest[SIZE]
            return Trial(
                number,
                parameters,
                fold_scores=(float(errors.mean()[0]),),
                seconds=model.run_time / 1e3,
                memory_mb=memory_mb,
                recipe=recipe,
            )
        except Exception as error:  # whatever is wrong with one model is that trial's error
            return Trial(number, parameters, memory_mb=memory_mb, error=str(error))


def _read_recipe(h2o: Any, model: Any) -> dict[str, Any]:
    """Return what differs from H2O's defaults; of an ensemble also the base models' recipes."""
    actual, default = model.actual_params, model.default_params
    parameters = {
        name: value
        for name, value in actual.items()
        if name not in _NOT_IN_RECIPE and value != default.get(name) and _is_plain(value)
    }
    if model.algo != "stackedensemble":
        return {"algorithm": model.algo, "parameters": parameters}
    return {
        "algorithm": model.algo,
        "parameters": {},
        "base_models": [_read_recipe(h2o, h2o.get_model(key)) for key in model.base_models],
        "metalearner": model.metalearner().algo,
    }


def _train_recipe(
    h2o: Any, recipe: Recipe, frame: Any, names: list[str], *, seed: int, is_base: bool = False
) -> Any:
    """Return H2O's model of a recipe.

    Args:
        h2o: the connected module.
        recipe: what `_read_recipe` returned.
        frame: the uploaded rows.
        names: the columns that it learns from.
        seed: of its training.
        is_base: whether an ensemble is stacked from it, by its cross-validation.

    Returns:
        The trained model, still in the cluster.
    """
    from h2o import estimators

    if recipe["algorithm"] != "stackedensemble":
        stacking = {"fold_column": FOLD, "keep_cross_validation_predictions": True}
        model = _list_estimators(estimators)[recipe["algorithm"]](
            seed=seed, **(stacking if is_base else {}), **recipe["parameters"]
        )
        model.train(x=names, y=TARGET, training_frame=frame)
        return model
    bases = [
        _train_recipe(h2o, base, frame, names, seed=seed, is_base=True)
        for base in recipe["base_models"]
    ]
    algorithm = recipe["metalearner"]
    stacked = estimators.H2OStackedEnsembleEstimator(
        base_models=bases,
        # AUTO is a GLM without negative weights, which is what AutoML stacks with.
        metalearner_algorithm="AUTO" if algorithm == "glm" else algorithm,
        metalearner_fold_column=FOLD,
        seed=seed,
    )
    stacked.train(x=names, y=TARGET, training_frame=frame)
    return stacked


def _list_estimators(module: Any) -> Mapping[str, Any]:
    """Return the estimator classes by the algorithm's name in a recipe."""
    return {
        "gbm": module.H2OGradientBoostingEstimator,
        "drf": module.H2ORandomForestEstimator,
        "xgboost": module.H2OXGBoostEstimator,
        "glm": module.H2OGeneralizedLinearEstimator,
        "deeplearning": module.H2ODeepLearningEstimator,
    }


def _upload_rows(h2o: Any, rows: Rows) -> Any:
    """Return the rows in the cluster: names, TARGET, SIZE and FOLD, blocks of issue times."""
    first, span = rows.issue.min(), np.ptp(rows.issue) + 1
    table = (
        pl.DataFrame(rows.inputs, schema=list(rows.names), orient="row")
        .fill_nan(None)
        .with_columns(
            pl.Series(TARGET, rows.target),
            pl.Series(SIZE, rows.size),
            pl.Series(FOLD, (rows.issue - first) * CROSS_VALIDATION_FOLDS // span),
        )
    )
    with tempfile.TemporaryDirectory(prefix="smartgrid-h2o-") as folder:
        path = Path(folder) / "rows.csv"
        table.write_csv(path)
        return h2o.upload_file(str(path), header=1, col_types=["numeric"] * table.width)


def _thin_rows(rows: Rows) -> Rows:
    """Return at most MOST_ROWS of the rows, evenly spread."""
    if len(rows) <= MOST_ROWS:
        return rows
    return rows.select(np.linspace(0, len(rows) - 1, MOST_ROWS).astype(np.int64))


def _download_mojo(model: Any) -> bytes:
    """Return the model as H2O's portable file."""
    with tempfile.TemporaryDirectory(prefix="smartgrid-h2o-") as folder:
        return Path(model.download_mojo(folder)).read_bytes()


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_plain(entry) for entry in value)
    return isinstance(value, bool | int | float | str)


def _flatten_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as names and values, as a tracker of trials shows them."""
    values = dict(recipe["parameters"])
    if "base_models" in recipe:
        bases = [base["algorithm"] for base in recipe["base_models"]]
        values |= {"base_models": ", ".join(bases), "metalearner": recipe["metalearner"]}
    return values
