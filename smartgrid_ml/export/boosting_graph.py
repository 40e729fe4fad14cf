"""The boosting forecaster's prediction in TensorFlow operations, in the forecaster's own steps."""

from collections.abc import Callable
from typing import Any

import numpy as np

from smartgrid_ml.export.scaled_graph import build_scaled_graph
from smartgrid_ml.export.trees.ensemble import build_ensemble_graph
from smartgrid_ml.export.trees.lightgbm import read_lightgbm_trees
from smartgrid_ml.forecasting.boosting import BoostingForecaster
from smartgrid_ml.forecasting.protocol import QUANTILES
from smartgrid_ml.tensorflow_runtime import tensorflow


def build_boosting_graph(forecaster: BoostingForecaster) -> Callable[[Any], Any]:
    """Return a function of inputs, float64 (batch, feature_names), to loads, float64 (batch, 3)."""
    tf = tensorflow()
    ensembles = [
        [
            build_ensemble_graph(read_lightgbm_trees(booster))
            for booster in forecaster.boosters[quantile]
        ]
        for quantile in QUANTILES
    ]

    def answer(features: Any) -> Any:
        means = [
            tf.add_n([trees(features) for trees in ensemble]) / len(ensemble)
            for ensemble in ensembles
        ]
        return tf.stack(means, axis=1)

    offsets = np.stack([forecaster.offsets[quantile] for quantile in QUANTILES])
    return build_scaled_graph(forecaster, offsets=offsets, answer=answer)
