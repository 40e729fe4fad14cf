"""Any regressor as a forecaster: loads in units of their size, a band from its own past errors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from smartgrid_core.arrays import F64, I64
from smartgrid_core.rollout.labels import OUTPUTS
from smartgrid_ml.forecasting.boosting import choose_scale
from smartgrid_ml.forecasting.conformal import calibrate_offsets, look_up_offsets, split_tail
from smartgrid_ml.forecasting.protocol import QUANTILES
from smartgrid_ml.forecasting.scaling import (
    TARGET,
    list_input_names,
    list_load_inputs,
    read_floats,
    scale_inputs,
    select_known_rows,
)


@dataclass(frozen=True, slots=True)
class Rows:
    """What a regressor learns from, in the order of issue times.

    `size` is what one unit of the target is worth, in the unit of the load: |error| * size is an
    absolute error in kW.
    """

    names: Sequence[str]
    """The inputs, in order."""
    inputs: F64
    """(rows, names), NaN where unknown."""
    target: F64
    """(rows,), the load divided by the series' size."""
    size: F64
    """(rows,), the series' size in the unit of the load (kW)."""
    issue: I64
    """(rows,): the place of the row's issue time among all, from 0."""
    known: I64 | None = None
    """(rows,): the place of the first issue time at which the row's load is known; None: of the
    next one. Horizons beyond the next issue make it a later one."""

    def __len__(self) -> int:
        return len(self.target)

    def select(self, places: npt.NDArray[Any]) -> "Rows":
        """Return some of the rows: integer places, or a mask (rows,)."""
        return Rows(
            self.names,
            self.inputs[places],
            self.target[places],
            self.size[places],
            self.issue[places],
            None if self.known is None else self.known[places],
        )

    def split_folds(self, folds: int, *, share: float = 0.15) -> Iterator[tuple["Rows", "Rows"]]:
        """Yield rows to train on and later ones to validate by, the earliest fold first.

        The origin rolls: each fold validates the next `share` of the issue times, and the last one
        ends with the rows. Every search scores its trials on these same folds.
        """
        issues = int(self.issue.max()) + 1
        span = max(1, round(issues * share))
        for fold in reversed(range(folds)):
            end = issues - fold * span
            start = end - span
            if start > 0:
                is_validated = (self.issue >= start) & (self.issue < end)
                known = self.issue + 1 if self.known is None else self.known
                yield self.select(known <= start), self.select(is_validated)


class PointModel(Protocol):
    """A trained regressor; what it looks like inside is for `export/regressors.py` to know."""

    def predict(self, inputs: F64) -> npt.NDArray[np.floating[Any]]:
        """Return one number per row, (rows,); inputs are (rows, names), NaN where unknown."""
        ...


class Learner(Protocol):
    """Makes a regressor of rows."""

    @property
    def settings(self) -> Any:
        """A dataclass of how it learns; written down with every training."""
        ...

    def learn(self, rows: Rows) -> PointModel:
        """Return a regressor that is trained on all of them."""
        ...


class PointForecaster:
    """One regressor for all series, and P10 and P90 by how far it was off at each lead.

    Which of SCALES is the size is found out on the last part of the training span; there, too, a
    model of the part before shows its errors, whose quantiles become the band (split-conformal).

    How a prediction is made, which is all that an export has to repeat:

    1. inputs are the columns `feature_names`, in that order, rounded to float32 (as a served model
       gets them) and taken as float64 from there, NaN where unknown;
    2. those in `scaled_features` are divided by `scale_feature`, which is one of the inputs;
    3. `model` answers one number;
    4. `offsets[:, i]` are added, where i = floor(lead_hours), at most the last index;
    5. the three are sorted and multiplied by `scale_feature`.

    A row whose `scale_feature` is unknown gets no forecast (null).
    """

    lead_feature: str = "lead_hours"
    """Hours from issue to target hour."""
    scale_feature: str
    """The size of the series; one of SCALES."""
    feature_names: Sequence[str]
    """Inputs in order: every numeric column but the key and the target, also if never known."""
    scaled_features: Sequence[str]
    """Inputs in the unit of the load, but SCALE."""
    model: PointModel
    """Trained on all known rows."""
    offsets: F64
    """(3, leads), in scaled units; zeros for the median."""

    def __init__(self, name: str, learner: Learner) -> None:
        self.name = name
        self.learner = learner

    @property
    def settings(self) -> Any:
        """How the regressor learns."""
        return self.learner.settings

    def fit(self, features: pl.DataFrame) -> Self:
        """Learn from the rows whose load and level are known.

        Raises ValueError if no such row is left.
        """
        known = select_known_rows(features).sort("issue_time", "feeder_id", "hour_start")
        self.feature_names = list_input_names(known)
        self.scaled_features = list_load_inputs(self.feature_names)
        head, tail = split_tail(known)
        self.scale_feature = choose_scale(head, tail)
        self.prepare(self.build_rows(known if head.is_empty() else head))
        self.offsets = self._calibrate(head, tail)
        self.model = self.learner.learn(self.build_rows(known))
        return self

    def prepare(self, rows: Rows) -> None:
        """Choose a model before learning: nothing to do, unless a forecaster searches.

        `rows` are those before the calibrated ones: what is chosen here has not seen the latter.
        """

    def predict(self, features: pl.DataFrame) -> pl.DataFrame:
        """Return columns p10 <= p50 <= p90, in the unit of the load, one row per row given."""
        size = read_floats(
            features.select(pl.col(self.scale_feature).cast(pl.Float32)), self.scale_feature
        )
        lead_hours = read_floats(features, self.lead_feature)
        # Regressors refuse to answer for infinite or absurd numbers, and nobody asks for them.
        answers = np.full(features.height, np.nan)
        has_size = np.isfinite(size) & (size > 0)
        if has_size.any():
            inputs = self.build_inputs(features.filter(pl.Series(has_size)))
            answers[has_size] = _predict_points(self.model, inputs)
        # quantiles in units of the size, (rows, 3)
        scaled = answers[:, np.newaxis] + np.column_stack(
            [look_up_offsets(offsets, lead_hours) for offsets in self.offsets]
        )
        with np.errstate(invalid="ignore"):
            loads = np.sort(scaled, axis=1) * size[:, np.newaxis]
        return pl.DataFrame(loads, schema=list(OUTPUTS)).fill_nan(None)

    def build_inputs(self, features: pl.DataFrame) -> F64:
        """Return what the regressor sees: float64 (rows, feature_names), NaN where unknown."""
        return scale_inputs(
            features,
            names=self.feature_names,
            scaled=self.scaled_features,
            scale=self.scale_feature,
        )

    def build_rows(self, known: pl.DataFrame) -> Rows:
        """Return rows as a regressor learns from them.

        `known` are rows of `select_known_rows`, ordered by issue time.
        """
        size = read_floats(known, self.scale_feature)
        issues = known["issue_time"].unique().sort()
        return Rows(
            names=self.feature_names,
            inputs=self.build_inputs(known),
            target=read_floats(known, TARGET) / size,
            size=size,
            issue=issues.search_sorted(known["issue_time"]).cast(pl.Int64).to_numpy(),
            known=issues.search_sorted(known["hour_start"], side="right").cast(pl.Int64).to_numpy(),
        )

    def _calibrate(self, head: pl.DataFrame, tail: pl.DataFrame) -> F64:
        """Return how far P10 and P90 lie from the answer to be right on the unseen tail.

        Shape (3, leads); they do not lie apart from it where either part has no row.
        """
        n_leads = int(read_floats(pl.concat([head, tail]), self.lead_feature).max()) + 1
        if head.is_empty() or tail.is_empty():
            return np.zeros((len(QUANTILES), n_leads))
        model = self.learner.learn(self.build_rows(head))
        actual = read_floats(tail, TARGET) / read_floats(tail, self.scale_feature)
        residuals = actual - _predict_points(model, self.build_inputs(tail))
        return calibrate_offsets(
            np.column_stack([residuals] * len(QUANTILES)),
            lead_hours=read_floats(tail, self.lead_feature),
            issue_times=tail["issue_time"],
            n_leads=n_leads,
        )


def _predict_points(model: PointModel, inputs: F64) -> F64:
    """Return a regressor's answers as float64 (rows,), whatever shape it gives them."""
    return np.asarray(model.predict(inputs), np.float64).reshape(-1)
