"""The prediction of a PointForecaster in TensorFlow operations, in its own steps."""

from collections.abc import Callable
from typing import Any

import numpy as np

from smartgrid_ml.export.regressors import build_regressor_graph
from smartgrid_ml.export.scaled_graph import build_scaled_graph
from smartgrid_ml.forecasting.point import PointForecaster
from smartgrid_ml.tensorflow_runtime import tensorflow


def build_point_graph(forecaster: PointForecaster) -> Callable[[Any], Any]:
    """Return a function of inputs, float64 (batch, feature_names), to loads, float64 (batch, 3)."""
    tf = tensorflow()
    answer = build_regressor_graph(forecaster.model)
    loads = build_scaled_graph(
        forecaster,
        offsets=forecaster.offsets,
        answer=lambda features: answer(features)[:, tf.newaxis],
    )
    size_at = list(forecaster.feature_names).index(forecaster.scale_feature)

    def known_loads(inputs: Any) -> Any:
        # Some regressors answer a number for inputs that are all unknown.
        has_size = inputs[:, size_at, tf.newaxis] > 0
        return tf.where(has_size, loads(inputs), tf.constant(np.nan, tf.float64))

    return known_loads
