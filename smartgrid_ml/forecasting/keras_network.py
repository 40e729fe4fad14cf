"""A small dense Keras network with quantile heads; Keras trains it, NumPy evaluates it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from smartgrid_core.features.load import SCALE
from smartgrid_core.rollout.labels import OUTPUTS
from smartgrid_ml.forecasting.conformal import (
    choose_cautious_offsets,
    count_years_back,
    look_up_offsets,
)
from smartgrid_ml.forecasting.protocol import QUANTILES
from smartgrid_ml.forecasting.scaling import (
    TARGET,
    FloatArray,
    list_input_names,
    list_load_inputs,
    read_floats,
    scale_inputs,
    select_known_rows,
)
from smartgrid_ml.forecasting.standardising import (
    compute_moments,
    fit_ridge_line,
    standardise_inputs,
)
from smartgrid_ml.tensorflow_runtime import tensorflow


@dataclass(frozen=True, slots=True)
class KerasSettings:
    """How the network is built and trained; `seed` fixes weights and the order of rows."""

    hidden: Sequence[int] = (64, 32)
    epochs: int = 60
    patience: int = 6
    """Epochs without a better validation loss before training stops."""
    batch_rows: int = 256
    steps_per_epoch: int = 250
    """No more: batches grow instead, so that a year of many series takes no longer."""
    learning_rate: float = 2e-3
    ridge: float = 1e-3
    """Penalty of the linear model that training starts from, per row and standard deviation."""
    validation_share: float = 0.15
    """The last part of the issue times: training stops by it, the band is calibrated on it."""
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Network:
    """The trained weights. Hidden layers are relu; the head sees the last one and the inputs.

    The head's three outputs are the median and, through softplus, how far P10 lies below and P90
    above it, in standard deviations of the target.
    """

    hidden: Sequence[tuple[FloatArray, FloatArray]]
    """Kernel (n_in, n_out) and bias (n_out,) per layer."""
    head: tuple[FloatArray, FloatArray]


class KerasForecaster:
    """Load divided by the series' level, from standardised inputs, one network for all series.

    How a prediction is made, which is all that an export has to repeat:

    1. inputs are the columns `feature_names`, in that order, rounded to float32 (as a served model
       gets them) and taken as float64 from there, NaN where unknown;
    2. those in `scaled_features` are divided by `scale_feature`;
    3. each is standardised, (x - input_mean) / input_std, cut at +-FARTHEST, unknown becomes 0;
    4. `network` answers P10, P50, P90, which are multiplied by `target_std`, `target_mean` added;
    5. `offsets[:, i]` are added, where i = floor(lead_hours), at most the last index;
    6. the three are sorted and multiplied by `scale_feature`.

    A row whose `scale_feature` is unknown gets no forecast (null).
    """

    name = "keras"
    scale_feature: str = SCALE
    lead_feature: str = "lead_hours"
    feature_names: Sequence[str]
    """Inputs in order: every numeric column but the key and the target, also if never known."""
    scaled_features: Sequence[str]
    input_mean: FloatArray
    input_std: FloatArray
    target_mean: float
    target_std: float
    network: Network
    offsets: FloatArray
    """(3, leads), in scaled units; zeros for the median."""

    def __init__(self, settings: KerasSettings | None = None) -> None:
        self.settings = settings or KerasSettings()

    def fit(self, features: pl.DataFrame) -> Self:
        """Learn from the rows whose load and level are known.

        Raises ValueError if no such row is left.
        """
        known = select_known_rows(features)
        self.feature_names = list_input_names(known)
        self.scaled_features = list_load_inputs(self.feature_names)
        train, held_out = _split_validation(known, share=self.settings.validation_share)

        inputs, target = self._scaled_inputs(train), self._scaled_target(train)
        self.input_mean, self.input_std = compute_moments(inputs)
        self.target_mean, self.target_std = float(np.mean(target)), float(np.std(target)) or 1.0
        self.network = self._trained(
            (self._standard_inputs(inputs), self._standard_target(target)),
            held_out=(
                self._standard_inputs(self._scaled_inputs(held_out)),
                self._standard_target(self._scaled_target(held_out)),
            ),
        )
        self.offsets = np.zeros((len(QUANTILES), 1))
        self.offsets = self._calibrated(held_out)
        return self

    def predict(self, features: pl.DataFrame) -> pl.DataFrame:
        """Columns p10 <= p50 <= p90, in the unit of the load, one row per row given."""
        scale = read_floats(features, self.scale_feature)
        with np.errstate(invalid="ignore"):  # a row without level is NaN from here to the end
            loads = np.sort(self._scaled_quantiles(features), axis=1) * scale[:, np.newaxis]
        return pl.DataFrame(loads, schema=list(OUTPUTS)).fill_nan(None)

    def _scaled_quantiles(self, features: pl.DataFrame) -> FloatArray:
        answers = _evaluate_network(
            self.network, self._standard_inputs(self._scaled_inputs(features))
        )
        lead = read_floats(features, self.lead_feature)
        moved = np.column_stack([look_up_offsets(offsets, lead) for offsets in self.offsets])
        return answers * self.target_std + self.target_mean + moved

    def _scaled_inputs(self, features: pl.DataFrame) -> FloatArray:
        return scale_inputs(
            features,
            names=self.feature_names,
            scaled=self.scaled_features,
            scale=self.scale_feature,
        )

    def _standard_inputs(self, inputs: FloatArray) -> FloatArray:
        return standardise_inputs(inputs, mean=self.input_mean, std=self.input_std)

    def _scaled_target(self, features: pl.DataFrame) -> FloatArray:
        return read_floats(features, TARGET) / read_floats(features, self.scale_feature)

    def _standard_target(self, target: FloatArray) -> FloatArray:
        return (target - self.target_mean) / self.target_std

    def _trained(
        self,
        rows: tuple[FloatArray, FloatArray],
        *,
        held_out: tuple[FloatArray, FloatArray],
    ) -> Network:
        tensorflow()
        import keras

        settings = self.settings
        model = _build_network(len(self.feature_names), settings=settings)
        model.get_layer("head").set_weights(
            _fit_linear_head(*rows, hidden=settings.hidden[-1], ridge=settings.ridge)
        )
        model.compile(
            optimizer=keras.optimizers.Adam(settings.learning_rate, clipnorm=1.0),
            loss=_compute_pinball,
            jit_compile=False,
        )
        model.fit(
            _shuffle_batches(*(_to_float32(part) for part in rows), settings=settings),
            validation_data=tuple(_to_float32(part) for part in held_out),
            validation_batch_size=4096,
            epochs=settings.epochs,
            shuffle=False,
            verbose=0,
            callbacks=[
                keras.callbacks.EarlyStopping(
                    patience=settings.patience, restore_best_weights=True
                ),
                keras.callbacks.ReduceLROnPlateau(patience=2, factor=0.5),
            ],
        )
        layers = [
            tuple(
                np.asarray(weights, np.float64) for weights in model.get_layer(name).get_weights()
            )
            for name in (*(f"hidden_{place}" for place in range(len(settings.hidden))), "head")
        ]
        pairs = [(kernel, bias) for kernel, bias in layers]
        return Network(hidden=tuple(pairs[:-1]), head=pairs[-1])

    def _calibrated(self, held_out: pl.DataFrame) -> FloatArray:
        """How far P10 and P90 must move, lead by lead, to be right on rows not trained on."""
        missed = self._scaled_target(held_out)[:, np.newaxis] - self._scaled_quantiles(held_out)
        lead = np.floor(read_floats(held_out, self.lead_feature)).astype(int)
        offsets = np.zeros((len(QUANTILES), int(lead.max()) + 1))
        for place, quantile in enumerate(QUANTILES):
            if quantile != 0.5:
                offsets[place] = choose_cautious_offsets(
                    missed[:, place],
                    quantile=quantile,
                    lead=lead,
                    year=count_years_back(held_out["issue_time"]),
                    leads=offsets.shape[1],
                )
        return offsets


def _split_validation(known: pl.DataFrame, *, share: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows to train on and the later ones held out; all rows in both for a single issue time."""
    issues = known["issue_time"].unique().sort()
    cut = issues[-max(1, round(len(issues) * share))]
    train, held_out = (
        known.filter(pl.col("hour_start") < cut),
        known.filter(pl.col("issue_time") >= cut),
    )
    return (known, known) if train.is_empty() else (train, held_out)


def _build_network(n_features: int, *, settings: KerasSettings) -> Any:
    import keras

    inputs = keras.Input((n_features,), name="features")
    layer = inputs
    for place, units in enumerate(settings.hidden):
        start = keras.initializers.HeUniform(seed=settings.seed + place)
        layer = keras.layers.Dense(
            units, activation="relu", kernel_initializer=start, name=f"hidden_{place}"
        )(layer)
    head = keras.layers.Dense(3, kernel_initializer="zeros", name="head")(
        keras.layers.Concatenate()([layer, inputs])
    )
    return keras.Model(inputs, head)


def _fit_linear_head(
    inputs: FloatArray, target: FloatArray, *, hidden: int, ridge: float
) -> list[FloatArray]:
    """Weights of a head that answers like a ridge regression: training can only mend it.

    A network that starts at random needs far more rows than a young grid has to find out that
    tomorrow looks like a mean of the days before.
    """
    slopes, intercept = fit_ridge_line(inputs, target, penalty=ridge)
    low, high = np.quantile(target - inputs @ slopes - intercept, [QUANTILES[0], QUANTILES[-1]])
    kernel = np.zeros((hidden + inputs.shape[1], 3))
    kernel[hidden:, 0] = slopes
    widths = [np.log(np.expm1(max(width, 1e-3))) for width in (-low, high)]  # softplus, inverted
    return [kernel, np.array([intercept, *widths])]


def _compute_pinball(actual: Any, head: Any) -> Any:
    """Mean pinball loss of the three quantiles that the head's outputs stand for."""
    from keras import ops

    middle = head[:, 0:1]
    answers = ops.concatenate(
        [middle - ops.softplus(head[:, 1:2]), middle, middle + ops.softplus(head[:, 2:3])], axis=1
    )
    missed = ops.reshape(actual, (-1, 1)) - answers
    level = ops.convert_to_tensor([QUANTILES], dtype=missed.dtype)
    return ops.mean(ops.maximum(level * missed, (level - 1.0) * missed), axis=1)


def _shuffle_batches(
    inputs: npt.NDArray[np.float32], target: npt.NDArray[np.float32], *, settings: KerasSettings
) -> Any:
    """Batches in an order that the seed decides anew for every epoch."""
    import keras

    rows = max(settings.batch_rows, math.ceil(len(target) / settings.steps_per_epoch))
    random = np.random.default_rng(settings.seed)

    class Batches(keras.utils.PyDataset):  # type: ignore[misc] # the base class has no types
        """One permutation of the rows per epoch."""

        def __init__(self) -> None:
            super().__init__()
            self.order = random.permutation(len(target))

        def __len__(self) -> int:
            return math.ceil(len(target) / rows)

        def __getitem__(self, place: int) -> tuple[Any, Any]:
            chosen = self.order[place * rows : (place + 1) * rows]
            return inputs[chosen], target[chosen]

        def on_epoch_end(self) -> None:
            self.order = random.permutation(len(target))

    return Batches()


def _evaluate_network(network: Network, inputs: FloatArray) -> FloatArray:
    """P10, P50, P90 in standard deviations of the target: (rows, 3)."""
    layer = inputs
    for kernel, bias in network.hidden:
        layer = np.maximum(layer @ kernel + bias, 0.0)
    kernel, bias = network.head
    head = np.concatenate([layer, inputs], axis=1) @ kernel + bias
    middle, below, above = head[:, 0], np.logaddexp(0, head[:, 1]), np.logaddexp(0, head[:, 2])
    return np.stack([middle - below, middle, middle + above], axis=1)


def _to_float32(values: FloatArray) -> npt.NDArray[np.float32]:
    return np.asarray(values, dtype=np.float32)
