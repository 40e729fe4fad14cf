"""Which trained regressors can become TensorFlow operations, and where each kind is written."""

from collections.abc import Callable
from typing import Any

from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.exportable import REGRESSORS, Graph, class_path, exporter
from smartgrid_ml.export.layers import keras_model_graph, searched_network_graph
from smartgrid_ml.forecasting.point import PointModel


def regressor_graph(model: PointModel) -> Graph:
    """The model's `predict` in stock TensorFlow operations.

    Raises PublicationError naming the part of the model that has no such form.
    """
    kind = class_path(model)
    if kind in REGRESSORS:
        return exporter(REGRESSORS[kind])(model)
    for prefix, graph_of in _BY_PACKAGE.items():
        if kind.startswith(prefix):
            return graph_of(model)
    packages = {path.split(".")[0] for path in (*REGRESSORS, *_BY_PACKAGE)}
    alike = sorted(path for path in REGRESSORS if path.split(".")[0] == kind.split(".")[0])
    raise PublicationError(
        f"export: no SavedModel of a {kind}; "
        + (
            f"use one of {', '.join(path.rsplit('.', 1)[1] for path in alike)}"
            if alike
            else f"there is one of models from {', '.join(sorted(packages))}"
        )
    )


_BY_PACKAGE: dict[str, Callable[[Any], Graph]] = {
    "keras.src.models.": keras_model_graph,
    "smartgrid_ml.automl.searched_network.": searched_network_graph,
}
"""By the beginning of a model's full class name: libraries are not imported to ask."""
