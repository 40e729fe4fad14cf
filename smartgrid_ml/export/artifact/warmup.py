"""Warm-up requests inside a SavedModel: a server answers them before it takes others."""

from pathlib import Path

import polars as pl

from smartgrid_ml.tensorflow_runtime import tensorflow

WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"
"""Where TensorFlow Serving looks: a TFRecord file of PredictionLog messages, at most 1,000."""

SIZES = (1, 24)
"""Batches of one row and of a feeder's day: the server has traced and allocated for both then."""


def write_warmup(saved_model: Path, *, rows: pl.DataFrame, model: str) -> Path:
    """Write one Predict request per batch size, of rows of `as_served`; return the file."""
    tf = tensorflow()
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    place = saved_model / WARMUP
    place.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(place)) as records:
        for size in SIZES:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = model
            request.model_spec.signature_name = "serving_default"
            for name in rows.columns:
                column = rows[name].head(size).to_numpy()
                request.inputs[name].CopyFrom(tf.make_tensor_proto(column, dtype=tf.float32))
            record = prediction_log_pb2.PredictionLog()
            record.predict_log.request.CopyFrom(request)
            # The same rows give the same bytes: a version is identified by its content.
            records.write(record.SerializeToString(deterministic=True))
    return place
