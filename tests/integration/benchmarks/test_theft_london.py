"""The theft benchmark on real homes, with every sixth day and small trees: well above chance."""

import numpy as np
import pytest

from benchmarks.theft_london import FOLDER, build_london_context, read_london_homes, split_and_test
from smartgrid_ml.mining.theft.day_model import TheftSettings

SMALL = TheftSettings(trees=100, learning_rate=0.15, leaves=31)


@pytest.mark.slow
def test_attacks_on_homes_that_were_not_learned_from_are_told_from_clean_days(shared_data):
    data = shared_data / FOLDER
    if not data.is_dir():
        pytest.skip(f"no London homes in {data}")
    homes = read_london_homes(data)
    assert homes.energy_kwh.shape == (90, 365, 48)
    outcome = split_and_test(
        homes, context=build_london_context(data), seed=2016, settings=SMALL, every=6
    )
    figures = outcome.figures()
    assert figures["auc"] > 0.97
    assert figures["detection at 5 %"] > 0.87
    assert figures["precision@20 at 1%"] > 0.5
    assert all(area > 0.93 for area, _ in outcome.by_kind().values())
    assert np.isfinite(outcome.clean).all()
