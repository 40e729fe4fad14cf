"""The model that docs/models.md adds is one: it learns, forecasts and is exported."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from smartgrid_core.features.load import build_load_features
from smartgrid_ml.evaluation.backtest import BacktestSettings, backtest_models
from smartgrid_ml.evaluation.metrics import ALL_SERIES
from smartgrid_ml.export.artifact.parity import as_served, check_export_parity
from smartgrid_ml.export.artifact.saved_model import export_forecaster
from smartgrid_ml.forecasting.registry import create_forecaster

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tensorflow")]

PAGE = Path(__file__).parents[3] / "docs" / "models.md"


def code() -> str:
    block = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert block is not None
    return block[1]


def features() -> pl.DataFrame:
    first = datetime(2024, 3, 1, tzinfo=UTC)
    hour = np.arange(24 * 90)
    random = np.random.default_rng(5)
    shape = 100 + 40 * np.sin(hour / 24 * 2 * np.pi) - 10 * (hour // 24 % 7 > 4)
    history = pl.DataFrame(
        {
            "feeder_id": "F1",
            "hour_start": [first + timedelta(hours=int(h)) for h in hour],
            "load_kw": shape * (1 + 0.05 * random.normal(size=len(hour))),
        }
    )
    issues = [first + timedelta(days=day) for day in range(29, 89)]
    return build_load_features(history, issue_times=issues, timezone="Europe/Tirane", country="AL")


def test_the_model_of_the_page_beats_yesterday_and_is_served_as_it_says(tmp_path: Path):
    text = code()
    assert len(text.splitlines()) <= 40
    module: dict[str, Any] = {"__name__": "ridge"}
    exec(compile(text, str(PAGE), "exec", dont_inherit=True), module)  # noqa: S102 - our own page
    rows = features()
    last = rows["issue_time"].max()
    assert isinstance(last, datetime)
    result = backtest_models(
        rows,
        BacktestSettings(
            models=["naive_24h", "ridge"],
            test_start=last - timedelta(days=9),
            test_end=last + timedelta(days=1),
        ),
        make=lambda name: module["ridge"]() if name == "ridge" else create_forecaster(name),
    )
    losses = dict(
        result.leaderboard.filter(pl.col("series") == ALL_SERIES).select("model", "pinball").rows()
    )
    assert losses["ridge"] < losses["naive_24h"]
    fitted: Any = result.fitted["ridge"]
    asked = as_served(rows, inputs=tuple(fitted.feature_names))
    assert (
        check_export_parity(fitted, export_forecaster(fitted, tmp_path / "model"), rows=asked)
        < 1e-6
    )
