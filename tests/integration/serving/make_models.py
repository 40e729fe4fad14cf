"""Run as a script, in a process of its own: writes the SavedModels that the tests serve.

`python make_models.py FOLDER` writes FOLDER/<name>/saved_model.pb for every name below.
"""

import sys
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

BATCH = tf.TensorSpec([None], tf.float32)
FACTORS = (1, 2, 3, 4, 5, 6)


class Quantiles(tf.Module):
    """p50 = factor * load_kw + temperature_c, p10 one below, p90 one above."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = tf.Variable(factor, dtype=tf.float32)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.float32, name="load_kw"),
            tf.TensorSpec([None], tf.float32, name="temperature_c"),
        ]
    )
    def predict(self, load_kw: tf.Tensor, temperature_c: tf.Tensor) -> dict[str, tf.Tensor]:
        middle = self.factor * load_kw + temperature_c
        return {"p10": middle - 1.0, "p50": middle, "p90": middle + 1.0}


class Sums(tf.Module):
    """One input, one output; a second signature gives the double."""

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
    def sums(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.reduce_sum(x, axis=1)}

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
    def doubled(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": 2.0 * tf.reduce_sum(x, axis=1)}


class Kinds(tf.Module):
    """Text, whole numbers and truth, and an output without a batch."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, name="text"),
            tf.TensorSpec([None], tf.int64, name="count"),
            tf.TensorSpec([None], tf.bool, name="flag"),
        ]
    )
    def predict(self, text: tf.Tensor, count: tf.Tensor, flag: tf.Tensor) -> dict[str, tf.Tensor]:
        return {
            "said": tf.strings.join([text, "!"]),
            "raw_bytes": text,
            "next": count + 1,
            "not": tf.logical_not(flag),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="count")])
    def total(self, count: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"total": tf.reduce_sum(count), "count": count}


class Slow(tf.Module):
    """Counts to `steps` one by one; its `version` tells which one did."""

    def __init__(self, version: float) -> None:
        super().__init__()
        self.version = tf.Variable(version, dtype=tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([1], tf.int32, name="steps")])
    def count(self, steps: tf.Tensor) -> dict[str, tf.Tensor]:
        reached = tf.while_loop(
            lambda step: step < steps[0], lambda step: [step + 1], [tf.constant(0)]
        )[0]
        return {
            "reached": tf.reshape(reached, [1]),
            "version": tf.reshape(self.version.read_value(), [1]),
        }


def half_plus(offset: float, folder: Path) -> None:
    """y = x / 2 + offset, with the signatures of TensorFlow Serving's half_plus_two and _three."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        half, plus = tf.Variable(0.5, name="a"), tf.Variable(offset, name="b")
        serialized = v1.placeholder(tf.string, [None], name="tf_example")
        features = {"x": tf.io.FixedLenFeature([1], tf.float32)}
        x = tf.identity(tf.io.parse_example(serialized, features)["x"], name="x")
        y = tf.add(half * x, plus, name="y")
        labels = tf.broadcast_to(tf.constant([["half"]]), tf.shape(x))
        session.run(v1.global_variables_initializer())
        info = v1.saved_model.build_tensor_info
        regress = v1.saved_model.build_signature_def(
            {"inputs": info(serialized)}, {"outputs": info(y)}, "tensorflow/serving/regress"
        )
        classify = v1.saved_model.build_signature_def(
            {"inputs": info(serialized)},
            {"scores": info(y), "classes": info(labels)},
            "tensorflow/serving/classify",
        )
        scores = v1.saved_model.build_signature_def(
            {"inputs": info(serialized)}, {"scores": info(y)}, "tensorflow/serving/classify"
        )
        predict = v1.saved_model.build_signature_def(
            {"x": info(x)}, {"y": info(y)}, "tensorflow/serving/predict"
        )
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            signature_def_map={
                "serving_default": predict,
                "tensorflow/serving/regress": regress,
                "classify_x_to_y": classify,
                "scores_of_x": scores,
            },
        )
        builder.save()


class Rows(tf.Module):
    """The documented example of several named inputs: tags, signals and sensors by row."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, name="tag"),
            tf.TensorSpec([None, 5], tf.int32, name="signal"),
            tf.TensorSpec([None, 2, 2], tf.float32, name="sensor"),
        ]
    )
    def predict(self, tag: tf.Tensor, signal: tf.Tensor, sensor: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"tag": tag, "signal": signal, "sensor": sensor}


def warmed(folder: Path, *, factor: float, inputs: tuple[str, ...]) -> None:
    """A Quantiles model that brings two predict requests along."""
    model = Quantiles(factor)
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.predict})
    record = prediction_log_pb2.PredictionLog()
    for name in inputs:
        record.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto([1.0, 2.0]))
    (folder / "assets.extra").mkdir()
    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(record.SerializeToString())
        writer.write(record.SerializeToString())


def main(folder: Path) -> None:
    warmed(folder / "warm", factor=1, inputs=("load_kw", "temperature_c"))
    warmed(folder / "warm_unanswered", factor=2, inputs=("load_kw",))
    warmed(folder / "warm_corrupt", factor=3, inputs=("load_kw", "temperature_c"))
    corrupt = folder / "warm_corrupt" / "assets.extra" / "tf_serving_warmup_requests"
    corrupt.write_bytes(corrupt.read_bytes()[:-3])
    tf.get_logger().setLevel("ERROR")
    half_plus(2.0, folder / "half_plus_two")
    half_plus(3.0, folder / "half_plus_three")
    rows = Rows()
    tf.saved_model.save(rows, str(folder / "rows"), signatures={"serving_default": rows.predict})
    for factor in FACTORS:
        model = Quantiles(factor)
        tf.saved_model.save(
            model, str(folder / f"times_{factor}"), signatures={"serving_default": model.predict}
        )
    sums = Sums()
    tf.saved_model.save(
        sums,
        str(folder / "sums"),
        signatures={"serving_default": sums.sums, "doubled": sums.doubled},
    )
    kinds = Kinds()
    tf.saved_model.save(
        kinds,
        str(folder / "kinds"),
        signatures={"serving_default": kinds.predict, "total": kinds.total},
    )
    for version in (1, 2):
        slow = Slow(version)
        tf.saved_model.save(
            slow, str(folder / f"slow_{version}"), signatures={"serving_default": slow.count}
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
