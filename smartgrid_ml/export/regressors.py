"""The way in for trained regressors: `build_regressor_graph` finds the exporter of the class."""

from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.exportable import REGRESSORS, Graph, get_class_path, load_exporter
from smartgrid_ml.forecasting.point import PointModel

OURS = "smartgrid_ml"


def build_regressor_graph(model: PointModel) -> Graph:
    """Return the model's `predict` in stock TensorFlow operations.

    Raises PublicationError naming the part of the model that has no such form.
    """
    kind = get_class_path(model)
    if kind in REGRESSORS:
        return load_exporter(REGRESSORS[kind])(model)
    packages = {path.split(".")[0] for path in REGRESSORS} - {OURS}
    alike = sorted(path for path in REGRESSORS if path.split(".")[0] == kind.split(".")[0])
    raise PublicationError(
        f"export: no SavedModel of a {kind}; "
        + (
            f"use one of {', '.join(path.rsplit('.', 1)[1] for path in alike)}"
            if alike
            else f"there is one of models from {', '.join(sorted(packages))}, and from H2O"
        )
    )
