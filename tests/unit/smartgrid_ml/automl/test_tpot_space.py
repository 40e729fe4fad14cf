import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from smartgrid_core.errors import SmartGridError
from smartgrid_ml.automl import tpot_space
from smartgrid_ml.automl.recipes import build_estimator, to_recipe
from smartgrid_ml.export.exportable import REGRESSORS, TRANSFORMERS
from smartgrid_ml.export.regressors import build_regressor_graph
from smartgrid_ml.tensorflow_runtime import tensorflow

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tensorflow")]

DRAWN, BUILT = 150, 12
"""So many pipelines are drawn; the first are built, and of the others the first of each kind."""


@pytest.fixture(scope="module")
def drawn() -> list[Any]:
    """The pipelines that a search starts with, and more as they come."""
    with warnings.catch_warnings():
        # One of the libraries that TPOT brings still imports pkg_resources.
        warnings.simplefilter("ignore")
        space = tpot_space.build_search_space()
    random = np.random.default_rng(5)
    born = itertools.islice(tpot_space.generate_pipelines(space, random), DRAWN)
    return [one.export_pipeline() for one in born]


def kind_of(pipeline: Any) -> str:
    return type(pipeline.steps[-1][1]).__name__


def smaller(recipe: Any) -> Any:
    """The same pipeline of few trees: what is asked here does not depend on their number."""
    if isinstance(recipe, list):
        return [smaller(one) for one in recipe]
    if isinstance(recipe, dict):
        few = {"n_estimators": 5, "max_iter": 5} if grows_trees(recipe.get("class", "")) else {}
        return {
            name: {**smaller(held), **{one: n for one, n in few.items() if one in held}}
            if name == "parameters"
            else smaller(held)
            for name, held in recipe.items()
        }
    return recipe


def grows_trees(path: str) -> bool:
    return any(named in path for named in ("LGBM", "XGB", "Forest", "Trees", "HistGradient"))


def test_everything_that_a_search_can_draw_is_exportable(drawn: list[Any]):
    tf = tensorflow()
    random = np.random.default_rng(1)
    rows = random.normal(size=(600, 7))
    rows[random.random(rows.shape) < 0.1] = np.nan
    target = np.nan_to_num(rows[:, 0]) * 10 + random.normal(size=len(rows)) + 50

    kinds: set[str] = set()
    for place, pipeline in enumerate(drawn):
        if place >= BUILT and kind_of(pipeline) in kinds:
            continue
        kinds.add(kind_of(pipeline))
        recipe = smaller(to_recipe(pipeline))
        with threadpool_limits(1):
            model = build_estimator(recipe, seed=1, threads=1).fit(rows, target)
            offline = model.predict(rows)
        np.testing.assert_allclose(
            np.asarray(build_regressor_graph(model)(tf.constant(rows))), offline, rtol=1e-4
        )

    every = [*tpot_space.BOOSTERS, *tpot_space.PLAIN_REGRESSORS, tpot_space.STACKING]
    assert kinds == {path.rsplit(".", 1)[1] for path in every}, "each kind was drawn"


def test_every_estimator_of_the_space_is_in_the_tables_of_what_can_be_exported():
    regressors = {*tpot_space.BOOSTERS, *tpot_space.PLAIN_REGRESSORS, tpot_space.STACKING}
    transformers = {*tpot_space.SCALERS, *tpot_space.SELECTORS, *tpot_space.IMPUTERS}

    assert regressors <= set(REGRESSORS)
    assert transformers <= set(TRANSFORMERS)


def test_the_space_cannot_hold_what_cannot_be_exported(monkeypatch: pytest.MonkeyPatch):
    far = {"sklearn.neighbors.KNeighborsRegressor": {"n_neighbors": (1, 9)}}
    monkeypatch.setattr(tpot_space, "BOOSTERS", {**tpot_space.BOOSTERS, **far})

    with pytest.raises(SmartGridError, match=r"may not draw sklearn\.neighbors"):
        tpot_space.build_search_space()


def test_a_search_starts_with_what_is_known_to_be_good(drawn: list[Any]):
    first = [kind_of(one) for one in drawn[:5]]

    assert first == [
        "LGBMRegressor",
        "Ridge",
        "LGBMRegressor",
        "ExtraTreesRegressor",
        "XGBRegressor",
    ]
