"""A forecaster as a SavedModel, which a model server runs without any code of ours."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from smartgrid_core.errors import PublicationError
from smartgrid_core.rollout.labels import OUTPUTS
from smartgrid_ml.export.artifact.rounding import to_float64
from smartgrid_ml.export.boosting_graph import build_boosting_graph
from smartgrid_ml.export.keras_graph import build_keras_graph
from smartgrid_ml.export.point_graph import build_point_graph
from smartgrid_ml.forecasting.boosting import BoostingForecaster
from smartgrid_ml.forecasting.ensemble import EnsembleForecaster
from smartgrid_ml.forecasting.keras_network import KerasForecaster
from smartgrid_ml.forecasting.point import PointForecaster
from smartgrid_ml.forecasting.protocol import ServableForecaster
from smartgrid_ml.forecasting.registry import SERVABLE
from smartgrid_ml.tensorflow_runtime import tensorflow

PYTHON_OPS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
"""They call into the Python process that exported the model, and die in every other."""


def export_forecaster(forecaster: ServableForecaster, folder: Path) -> Path:
    """Write the fitted forecaster as a SavedModel into `folder`, new or empty; return the folder.

    Its signature `serving_default`: one float32 input (batch,) per name in `feature_names`,
    NaN where unknown; outputs p10, p50, p90, float32 (batch,), NaN for a row without forecast.
    Inside it computes in float64, like the forecaster, so that no split decides otherwise.

    Raises PublicationError for a kind of forecaster that has no export, or a folder in use.
    """
    if folder.exists() and any(folder.iterdir()):
        raise PublicationError(f"export: {folder} is not empty; give a new folder")
    tf = tensorflow()
    graph = _build_graph(forecaster)
    names = tuple(forecaster.feature_names)

    def serve(**inputs: Any) -> dict[str, Any]:
        columns = tf.stack([inputs[name] for name in names], axis=1)
        loads = tf.cast(graph(to_float64(columns)), tf.float32)
        return {name: loads[:, place] for place, name in enumerate(OUTPUTS)}

    signature = tf.function(serve, autograph=False).get_concrete_function(
        **{name: tf.TensorSpec([None], tf.float32, name=name) for name in names}
    )
    module = tf.Module()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": signature})
    refuse_python_ops(folder)
    return folder


def measure_saved_model_mb(forecaster: ServableForecaster) -> float:
    """Return the megabytes (1e6 bytes) of the forecaster as it would be served.

    Raises PublicationError if it cannot be exported.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = export_forecaster(forecaster, Path(place) / "saved_model")
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def refuse_python_ops(saved_model: Path) -> None:
    """Raise PublicationError naming every operation that runs only where it was made.

    That is a call back into Python, and any operation that stock TensorFlow does not have.
    """
    tf = tensorflow()
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    content = SavedModel.FromString((saved_model / "saved_model.pb").read_bytes())
    functions = {
        function.signature.name
        for graph in content.meta_graphs
        for function in graph.graph_def.library.function
    }
    refused = {
        name
        for name in _iter_operations(content)
        if name in PYTHON_OPS or not (hasattr(tf.raw_ops, name) or name in functions)
    }
    if refused:
        raise PublicationError(
            f"export: {saved_model} uses {', '.join(sorted(refused))}, which a model server has not"
        )


def _iter_operations(content: Any) -> Iterator[str]:
    """Yield the name of every operation of a SavedModel's protobuf, also within functions."""
    for meta_graph in content.meta_graphs:
        for node in meta_graph.graph_def.node:
            yield node.op
        for function in meta_graph.graph_def.library.function:
            for node in function.node_def:
                yield node.op


def _build_graph(forecaster: ServableForecaster) -> Any:
    """Return a function of inputs, float64 (batch, feature_names), to loads, float64 (batch, 3).

    Raises PublicationError for a kind of forecaster that has no export.
    """
    if isinstance(forecaster, BoostingForecaster):
        return build_boosting_graph(forecaster)
    if isinstance(forecaster, KerasForecaster):
        return build_keras_graph(forecaster)
    if isinstance(forecaster, PointForecaster):
        return build_point_graph(forecaster)
    if isinstance(forecaster, EnsembleForecaster):
        members = [
            (_build_graph(forecaster.members[name]), weight)
            for name, weight in forecaster.weights.items()
        ]
        return lambda inputs: sum(graph(inputs) * weight for graph, weight in members)
    raise PublicationError(
        f"export: no SavedModel of a {type(forecaster).__name__}; choose one of"
        f" {', '.join(SERVABLE)}"
    )
