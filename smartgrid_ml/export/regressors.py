"""Which trained regressors can become TensorFlow operations, and where each kind is written."""

from collections.abc import Callable
from typing import Any

from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.layers import keras_model_graph, searched_network_graph
from smartgrid_ml.forecasting.point import PointModel

Graph = Callable[[Any], Any]
"""float64 (batch, features), NaN where unknown -> float64 (batch,)"""


def regressor_graph(model: PointModel) -> Graph:
    """The model's `predict` in stock TensorFlow operations.

    Raises PublicationError naming the part of the model that has no such form.
    """
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    for prefix, graph_of in _BY_PACKAGE.items():
        if kind.startswith(prefix):
            return graph_of(model)
    raise PublicationError(
        f"export: no SavedModel of a {kind}; there is one of models from"
        f" {', '.join(sorted({prefix.split('.')[0] for prefix in _BY_PACKAGE}))}"
    )


_BY_PACKAGE: dict[str, Callable[[Any], Graph]] = {
    "keras.src.models.": keras_model_graph,
    "smartgrid_ml.automl.searched_network.": searched_network_graph,
}
"""By the beginning of a model's full class name: libraries are not imported to ask."""
