import io
import zipfile
from typing import Any

import pytest

from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.h2o.graph import build_mojo_graph
from smartgrid_ml.export.h2o.links import build_inverse_link
from smartgrid_ml.export.h2o.mojo import read_mojo

USUAL = {
    "algo": "gbm",
    "category": "Regression",
    "endianness": "LITTLE_ENDIAN",
    "n_features": 2,
    "n_domains": 0,
    "init_f": "NaN",
    "beta": "[1.5, -Infinity]",
}


def mojo_file(**changed: Any) -> bytes:
    """A MOJO of two inputs and no trees."""
    info = "\n".join(f"{name} = {value}" for name, value in {**USUAL, **changed}.items())
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("model.ini", f"[info]\n{info}\n\n[columns]\na\nb\ntarget\n")
        archive.writestr("models/base/model.ini", "")
    return content.getvalue()


def test_a_mojo_has_its_predictors_and_values():
    mojo = read_mojo(mojo_file())

    assert (mojo.algorithm, list(mojo.inputs)) == ("gbm", ["a", "b"])
    assert mojo.read_value("beta") == [1.5, float("-inf")]
    assert mojo.read_value("init_f") is None
    assert mojo.read_value("not_there") is None


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"category": "Binomial"}, "Binomial"),
        ({"n_domains": 1}, "columns of categories"),
        ({"endianness": "BIG_ENDIAN"}, "big-endian"),
        ({"has_offset": "true"}, "offset column"),
    ],
    ids=str,
)
def test_a_mojo_that_cannot_be_exported_is_refused_by_name(changed: dict[str, Any], named: str):
    with pytest.raises(PublicationError, match=named):
        read_mojo(mojo_file(**changed))


@pytest.mark.slow
@pytest.mark.xdist_group("tensorflow")
def test_an_algorithm_without_export_and_a_missing_column_are_named():
    with pytest.raises(PublicationError, match="no SavedModel of a kmeans"):
        build_mojo_graph(read_mojo(mojo_file(algo="kmeans")), ["a", "b"])
    with pytest.raises(PublicationError, match="also needs b"):
        build_mojo_graph(read_mojo(mojo_file()), ["a"])


def test_a_link_that_is_not_known_is_named():
    with pytest.raises(PublicationError, match="'tweedie'"):
        build_inverse_link("tweedie")
