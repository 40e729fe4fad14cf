"""A small dense Keras network with quantile heads; Keras trains it, NumPy evaluates it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl

from smartgrid_core.arrays import F32, F64
from smartgrid_core.features.load import SCALE
from smartgrid_core.rollout.labels import OUTPUTS
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
    """Units of each hidden layer."""
    epochs: int = 60
    """At most."""
    patience: int = 6
    """Epochs without a better validation loss before training stops."""
    batch_rows: int = 256
    """At least; see `steps_per_epoch`."""
    steps_per_epoch: int = 250
    """No more: batches grow instead, so that a year of many series takes no longer."""
    learning_rate: float = 2e-3
    """Of Adam; halved where the validation loss stands still for two epochs."""
    ridge: float = 1e-3
    """Penalty of the linear model that training starts from, per row and standard deviation."""
    validation_share: float = 0.15
    """The last part of the issue times: training stops by it, the band is calibrated on it."""
    seed: int = 1
    """Of initial weights and of the order of rows."""


@dataclass(frozen=True, slots=True)
class Network:
    """The trained weights. Hidden layers are relu; the head sees the last one and the inputs.

    The head's three outputs are the median and, through softplus, how far P10 lies below and P90
    above it, in standard deviations of the target.
    """

    hidden: Sequence[tuple[F64, F64]]
    """Kernel (n_in, n_out) and bias (n_out,) per layer."""
    head: tuple[F64, F64]
    """Kernel (n_hidden + n_features, 3) and bias (3,)."""


class KerasForecaster:
    """Load divided by the series' level, from standardised inputs, one network for all series.

    How a prediction is made, which is all that an export has to repeat:

    1. inputs are the columns `feature_names`, in that order, rounded to float32 (as a served model
       gets them) and taken as float64 from there, NaN where unknown;
    2. those in `scaled_features` are divided by `scale_feature`;
    3. each is standardised, (x - input_mean) / input_std, cut at +-STANDARD_LIMIT; unknown
       becomes 0;
    4. `network` answers P10, P50, P90, which are multiplied by `target_std`, `target_mean` added;
    5. `offsets[:, i]` are added, where i = floor(lead_hours), at most the last index;
    6. the three are sorted and multiplied by `scale_feature`.

    A row whose `scale_feature` is unknown gets no forecast (null).
    """

    name = "keras"
    scale_feature: str = SCALE
    """The size of the series."""
    lead_feature: str = "lead_hours"
    """Hours from issue to target hour."""
    feature_names: Sequence[str]
    """Inputs in order: every numeric column but the key and the target, also if never known."""
    scaled_features: Sequence[str]
    """Inputs in the unit of the load, but SCALE."""
    input_mean: F64
    """(feature_names,)"""
    input_std: F64
    """(feature_names,)"""
    target_mean: float
    """Of load / size."""
    target_std: float
    network: Network
    offsets: F64
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

        inputs, target = self._scale_inputs(train), self._scale_target(train)
        self.input_mean, self.input_std = compute_moments(inputs)
        self.target_mean, self.target_std = float(np.mean(target)), float(np.std(target)) or 1.0
        self.network = self._train_network(
            (self._standardise_inputs(inputs), self._standardise_target(target)),
            held_out=(
                self._standardise_inputs(self._scale_inputs(held_out)),
                self._standardise_target(self._scale_target(held_out)),
            ),
        )
        self.offsets = np.zeros((len(QUANTILES), 1))
        self.offsets = self._calibrate(held_out)
        return self

    def predict(self, features: pl.DataFrame) -> pl.DataFrame:
        """Return columns p10 <= p50 <= p90, in the unit of the load, one row per row given."""
        size = read_floats(features, self.scale_feature)
        with np.errstate(invalid="ignore"):  # a row without level is NaN from here to the end
            loads = np.sort(self._predict_scaled(features), axis=1) * size[:, np.newaxis]
        return pl.DataFrame(loads, schema=list(OUTPUTS)).fill_nan(None)

    def _predict_scaled(self, features: pl.DataFrame) -> F64:
        """Return P10, P50, P90 in units of the size, not sorted yet: (rows, 3)."""
        inputs = self._standardise_inputs(self._scale_inputs(features))
        answers = _evaluate_network(self.network, inputs)
        lead_hours = read_floats(features, self.lead_feature)
        offsets = np.column_stack([look_up_offsets(each, lead_hours) for each in self.offsets])
        return answers * self.target_std + self.target_mean + offsets

    def _scale_inputs(self, features: pl.DataFrame) -> F64:
        return scale_inputs(
            features,
            names=self.feature_names,
            scaled=self.scaled_features,
            scale=self.scale_feature,
        )

    def _standardise_inputs(self, inputs: F64) -> F64:
        return standardise_inputs(inputs, mean=self.input_mean, std=self.input_std)

    def _scale_target(self, features: pl.DataFrame) -> F64:
        return read_floats(features, TARGET) / read_floats(features, self.scale_feature)

    def _standardise_target(self, target: F64) -> F64:
        return (target - self.target_mean) / self.target_std

    def _train_network(self, rows: tuple[F64, F64], *, held_out: tuple[F64, F64]) -> Network:
        """Return the weights with the least validation loss.

        `rows` and `held_out` are standardised inputs (rows, feature_names) and target (rows,).
        """
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
        return _read_weights(model, n_hidden=len(settings.hidden))

    def _calibrate(self, held_out: pl.DataFrame) -> F64:
        """Return how far P10 and P90 must move to be right on rows not trained on: (3, leads)."""
        lead_hours = read_floats(held_out, self.lead_feature)
        actual = self._scale_target(held_out)
        return calibrate_offsets(
            actual[:, np.newaxis] - self._predict_scaled(held_out),
            lead_hours=lead_hours,
            issue_times=held_out["issue_time"],
            n_leads=int(np.floor(lead_hours.max())) + 1,
        )


def _split_validation(known: pl.DataFrame, *, share: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return rows to train on and later ones held out; all rows in both for one issue time."""
    train, held_out = split_tail(known, share=share, most_days=None)
    return (known, known) if train.is_empty() else (train, held_out)


def _read_weights(model: Any, *, n_hidden: int) -> Network:
    """Return the weights of a network of `_build_network` as float64 arrays."""
    layers = [
        tuple(np.asarray(weights, np.float64) for weights in model.get_layer(name).get_weights())
        for name in (*(f"hidden_{place}" for place in range(n_hidden)), "head")
    ]
    pairs = [(kernel, bias) for kernel, bias in layers]
    return Network(hidden=tuple(pairs[:-1]), head=pairs[-1])


def _build_network(n_features: int, *, settings: KerasSettings) -> Any:
    """Return the untrained network, whose head answers 0 until it gets weights."""
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


def _fit_linear_head(inputs: F64, target: F64, *, hidden: int, ridge: float) -> list[F64]:
    """Return weights of a head that answers like a ridge regression: training can only mend it.

    A network that starts at random needs far more rows than a young grid has to find out that
    tomorrow looks like a mean of the days before.

    Args:
        inputs: float64 (rows, features), standardised.
        target: float64 (rows,), standardised.
        hidden: units of the last hidden layer, to which the head gives no weight yet.
        ridge: penalty per row and standard deviation.

    Returns:
        Kernel (hidden + features, 3) and bias (3,).
    """
    slopes, intercept = fit_ridge_line(inputs, target, penalty=ridge)
    low, high = np.quantile(target - inputs @ slopes - intercept, [QUANTILES[0], QUANTILES[-1]])
    kernel = np.zeros((hidden + inputs.shape[1], 3))
    kernel[hidden:, 0] = slopes
    widths = [np.log(np.expm1(max(width, 1e-3))) for width in (-low, high)]  # softplus, inverted
    return [kernel, np.array([intercept, *widths])]


def _compute_pinball(actual: Any, head: Any) -> Any:
    """Return the mean pinball loss of the three quantiles that the head's outputs stand for."""
    from keras import ops

    middle = head[:, 0:1]
    answers = ops.concatenate(
        [middle - ops.softplus(head[:, 1:2]), middle, middle + ops.softplus(head[:, 2:3])], axis=1
    )
    error = ops.reshape(actual, (-1, 1)) - answers
    level = ops.convert_to_tensor([QUANTILES], dtype=error.dtype)
    return ops.mean(ops.maximum(level * error, (level - 1.0) * error), axis=1)


def _shuffle_batches(inputs: F32, target: F32, *, settings: KerasSettings) -> Any:
    """Return batches in an order that the seed decides anew for every epoch."""
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


def _evaluate_network(network: Network, inputs: F64) -> F64:
    """Return P10, P50, P90 in standard deviations of the target: (rows, 3)."""
    layer = inputs
    for kernel, bias in network.hidden:
        layer = np.maximum(layer @ kernel + bias, 0.0)
    kernel, bias = network.head
    head = np.concatenate([layer, inputs], axis=1) @ kernel + bias
    middle, below, above = head[:, 0], np.logaddexp(0, head[:, 1]), np.logaddexp(0, head[:, 2])
    return np.stack([middle - below, middle, middle + above], axis=1)


def _to_float32(values: F64) -> F32:
    return np.asarray(values, dtype=np.float32)
