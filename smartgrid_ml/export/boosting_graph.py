"""The boosting forecaster's prediction in TensorFlow operations, step by step as it says itself."""

from typing import Any

import numpy as np

from smartgrid_ml.export.lightgbm_trees import trees_of_lightgbm
from smartgrid_ml.export.trees import ensemble_graph
from smartgrid_ml.forecasting.boosting import BoostingForecaster
from smartgrid_ml.forecasting.protocol import QUANTILES
from smartgrid_ml.tensorflow_runtime import tensorflow


def boosting_graph(forecaster: BoostingForecaster) -> Any:
    """A function of inputs, float64 (batch, feature_names), to loads, float64 (batch, 3)."""
    tf = tensorflow()
    names = list(forecaster.feature_names)
    is_scaled = np.array([name in forecaster.scaled_features for name in names])
    scale_at = names.index(forecaster.scale_feature)
    lead_at = names.index(forecaster.lead_feature)
    ensembles = {
        quantile: [
            ensemble_graph(trees_of_lightgbm(booster)) for booster in forecaster.boosters[quantile]
        ]
        for quantile in QUANTILES
    }

    def loads(inputs: Any) -> Any:
        scale = inputs[:, scale_at, tf.newaxis]
        features = tf.where(is_scaled, inputs / scale, inputs)
        lead = tf.floor(inputs[:, lead_at])
        last_lead = float(len(forecaster.offsets[QUANTILES[0]]) - 1)
        lead = tf.where(tf.math.is_nan(lead), tf.zeros_like(lead), lead)
        scaled = [
            tf.add_n([answer(features) for answer in ensembles[quantile]])
            / len(ensembles[quantile])
            + tf.gather(
                tf.constant(forecaster.offsets[quantile]),
                tf.cast(tf.clip_by_value(lead, 0.0, last_lead), tf.int32),
            )
            for quantile in QUANTILES
        ]
        return tf.sort(tf.stack(scaled, axis=1), axis=1) * scale

    return loads
