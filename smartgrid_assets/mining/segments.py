"""Assets that group consumers by how they use energy: profiles, outliers, segments."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, cast

import dagster as dg
import polars as pl

from smartgrid_assets.domains import SEGMENTS, grid_asset
from smartgrid_core.contracts.aggregates import MeterConsumption
from smartgrid_core.contracts.grid import GridTopology
from smartgrid_core.contracts.segments import (
    ConsumerOutliers,
    ConsumerProfiles,
    ConsumerSegments,
    SegmentBands,
    SegmentHistory,
)
from smartgrid_core.features.calendar import list_public_holidays
from smartgrid_core.features.profiles import build_consumer_profiles
from smartgrid_core.model_protocols import ModelRegistry
from smartgrid_core.protocols import Clock, Lake, Warehouse
from smartgrid_core.settings import Settings
from smartgrid_core.time import Window
from smartgrid_core.topology import place_meters
from smartgrid_ml.mining.plots import embed_figure
from smartgrid_ml.mining.segments.find import Segments, find_segments
from smartgrid_ml.mining.segments.kmeans import CentreFinder, LocalKMeans
from smartgrid_ml.mining.segments.outliers import find_outliers
from smartgrid_ml.mining.segments.report import (
    build_trial_table,
    plot_bands,
    plot_knee,
    plot_projection,
    plot_sizes,
    render_outliers,
    render_segments,
    render_trials,
)
from smartgrid_ml.mining.segments.spark_kmeans import SparkKMeans

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXPERIMENT = "consumer_segments"

NO_PROFILES = "no meter has a profile yet"


def choose_profiled_window(lake: Lake, *, today: date, weeks: int) -> Window | None:
    """The last whole weeks of consumption in the lake, up to yesterday; None for none."""
    days = [day for day in lake.days(MeterConsumption) if day < today]
    if not days:
        return None
    return Window.of_days(max(days[0], days[-1] - timedelta(days=7 * weeks - 1)), days[-1])


def choose_engine(settings: Settings) -> CentreFinder:
    """Return the k-means engine that the setting `segment_engine` names."""
    return SparkKMeans(settings.spark_url) if settings.segment_engine == "spark" else LocalKMeans()


@grid_asset(
    SEGMENTS,
    table=ConsumerProfiles,
    deps=["meter_consumption", "grid_topology"],
    kinds={"polars", "parquet"},
)
def consumer_profiles(
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """One row per meter: its typical weekday and weekend day by local hour, over the last weeks.

    The table is kept in the lake only, and holds the newest profiles.
    """
    window = choose_profiled_window(
        lake, today=clock.now().date(), weeks=settings.segment_window_weeks
    )
    if window is None:
        lake.replace(ConsumerProfiles, ConsumerProfiles.create_empty())
        return dg.MaterializeResult(metadata={"outcome": "no day has consumption yet"})
    profiles = build_consumer_profiles(
        lake.scan(MeterConsumption, window=window),
        places=place_meters(lake.scan(GridTopology)),
        window=window,
        timezone=settings.zone,
        holidays=list_public_holidays(
            window.start.date(), window.end.date(), country=settings.country or None
        ),
        min_coverage=settings.segment_min_coverage,
    )
    rows = lake.replace(ConsumerProfiles, profiles.frame)
    left_out = sum(profiles.left_out.values())
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.count,
            "outcome": f"{rows.count} of {rows.count + left_out} meters have a profile",
            "window": f"{window.start:%Y-%m-%d} .. {window.end:%Y-%m-%d}",
            "feed_in_registers": int(rows.sum("is_feed_in")),
            **{f"left_out/{reason}": count for reason, count in profiles.left_out.items()},
        }
    )


@grid_asset(
    SEGMENTS, table=ConsumerOutliers, deps=["consumer_profiles"], kinds={"scikit-learn", "postgres"}
)
def consumer_outliers(
    lake: dg.ResourceParam[Lake], warehouse: dg.ResourceParam[Warehouse]
) -> dg.MaterializeResult[None]:
    """One row per meter whose daily profile is like no other's, and what is unusual about it.

    Profiles are clustered by DBSCAN; its noise points are the outliers.
    """
    profiles = lake.scan(ConsumerProfiles).collect()
    day = find_last_day(profiles)
    if day is None:
        warehouse.replace(ConsumerOutliers, ConsumerOutliers.create_empty())
        return dg.MaterializeResult(metadata={"outcome": NO_PROFILES})
    found = find_outliers(profiles, day=day)
    rows = warehouse.replace(ConsumerOutliers, found.rows)
    figure = plot_knee(found.distances, eps=found.eps)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.count,
            "outcome": f"{rows.count} of {profiles.height} meters are like no others",
            "day": str(day),
            "eps": found.eps,
            "min_samples": found.min_samples,
            "dense_clusters": found.clusters,
            "outliers": dg.MetadataValue.md(render_outliers(found.rows)),
            "plot": dg.MetadataValue.md(embed_figure(figure, about="neighbour distances")),
        }
    )


@grid_asset(
    SEGMENTS,
    table=ConsumerSegments,
    deps=["consumer_profiles", "consumer_outliers"],
    kinds={"scikit-learn", "mlflow", "postgres"},
)
def consumer_segments(
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
    model_registry: dg.ResourceParam[ModelRegistry],
) -> dg.MaterializeResult[None]:
    """One row per meter: the segment of consumers that it belongs to, by its daily profile.

    A segment that is found again in a later run keeps its number and its name.
    """
    profiles = lake.scan(ConsumerProfiles).collect()
    day = find_last_day(profiles)
    if day is None:
        warehouse.replace(ConsumerSegments, ConsumerSegments.create_empty())
        return dg.MaterializeResult(metadata={"outcome": NO_PROFILES})
    engine = choose_engine(settings)
    usual = profiles.join(warehouse.read(ConsumerOutliers), on="meter_id", how="anti")
    found = find_segments(
        usual,
        day=day,
        engine=engine,
        history=warehouse.read(SegmentHistory),
        bands=warehouse.read(SegmentBands),
    )
    rows = warehouse.replace(ConsumerSegments, found.members)
    window = Window.of_day(day)
    warehouse.replace(SegmentHistory, found.history, window=window)
    warehouse.replace(SegmentBands, found.bands, window=window)
    figures = {
        "typical_days": plot_bands(found.bands, found.history),
        "projection": plot_projection(profiles, found.members),
        "sizes": plot_sizes(warehouse.read(SegmentHistory)),
    }
    run_id = _log_segments(model_registry, found, profiles=profiles, engine=engine, figures=figures)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.count,
            "outcome": found.reason,
            "day": str(day),
            "engine": engine.name,
            "mlflow_run": run_id,
            "segments": dg.MetadataValue.md(render_segments(found.history)),
            "numbers_tried": dg.MetadataValue.md(render_trials(found.trials)),
            **{f"segments/{state}": n for state, n in _count_states(found.history).items()},
            **{f"plot/{name}": _show_figure(name, figure) for name, figure in figures.items()},
        }
    )


def _show_figure(name: str, figure: "Figure") -> dg.MetadataValue:
    return dg.MetadataValue.md(embed_figure(figure, about=name.replace("_", " ")))


def _log_segments(
    registry: ModelRegistry,
    found: Segments,
    *,
    profiles: pl.DataFrame,
    engine: CentreFinder,
    figures: Mapping[str, "Figure"],
) -> str:
    """Write down the segments; the id of their MLflow run.

    Args:
        registry: Keeps them.
        found: The segments of the day.
        profiles: Rows of `ConsumerProfiles` that they were found in.
        engine: What found their centres.
        figures: Pictures of them, by name.
    """
    day = find_last_day(profiles)
    run_id = registry.log_training(
        EXPERIMENT,
        params={"engine": engine.name, "segments": found.members["segment_id"].n_unique()},
        metrics=_collect_metrics(found),
        data_window=Window(
            cast(datetime, profiles["window_start"].min()),
            cast(datetime, profiles["window_end"].max()),
        ),
        figures=figures,
        tables={
            "segments": found.history,
            "bands": found.bands,
            "numbers_tried": build_trial_table(found.trials),
        },
        tags={"day": str(day)},
        run_name=f"segments of {day}",
    )
    registry.finish(run_id, "FINISHED")
    return run_id


def find_last_day(profiles: pl.DataFrame) -> date | None:
    """The last day that the profiles look at; None without profiles."""
    end = cast(datetime | None, profiles["window_end"].max())
    return None if end is None else (end - timedelta(microseconds=1)).date()


def _collect_metrics(found: Segments) -> dict[str, float | None]:
    chosen = found.chosen
    return {
        "stability": chosen.stability if chosen else None,
        "silhouette": chosen.silhouette if chosen else None,
        "smallest_share": chosen.smallest_share if chosen else None,
        "meters": float(found.members.height),
    }


def _count_states(history: pl.DataFrame) -> dict[str, int]:
    return dict(history.group_by("state").len().sort("state").iter_rows())
