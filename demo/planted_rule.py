"""The planted rule: a weak joint that lets the voltage down whenever its feeder's evening peaks."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from demo.faults import PlantedFault
from demo.grid import Floats, Grid
from demo.profiles import LOCAL_ZONE
from smartgrid_core.runs import find_true_runs
from smartgrid_core.time import HOUR, Window

KIND = "weak_joint"
JOINT_HOURS = (17, 22)
"""Local hours in which the joint is warm enough to give way."""
JOINT_SHARE = 0.25
"""Of those hours, the ones with the largest load: a rule needs many cases, and each is a peak."""
JOINT_VOLTAGE = 0.93
"""Of the nominal voltage, on average: below a band of 5 %, above the 10 % at which it is a sag."""
APART = timedelta(hours=1)
"""Between an episode and another fault of the same sensor, so that each leaves its own trace."""


def plan_weak_joint(
    grid: Grid, *, window: Window, hourly_kw: Floats, others: Sequence[PlantedFault]
) -> Iterator[PlantedFault]:
    """Yield one fault per evening in which the joint gives way, in order of time.

    The joint lies before the transformer whose sensor has the fewest of the `others`, on a feeder
    without an overload.

    Args:
        grid: The demo grid.
        window: The days of the demo, UTC.
        hourly_kw: float64 (n_feeders, n_hours) over the window, net load, kW.
        others: The faults that are planted already.
    """
    overloaded = {fault.subject_id for fault in others if fault.subject_kind == "feeder"}
    faults = {
        transformer: [fault for fault in others if fault.subject_id == f"S-{transformer}"]
        for transformer, feeder in grid.transformers.select(
            "transformer_id", "feeder_id"
        ).iter_rows()
        if feeder not in overloaded
    }
    transformer = min(faults, key=lambda name: (len(faults[name]), name))
    feeder = grid.transformers.filter(pl.col("transformer_id") == transformer)["feeder_id"][0]
    load_kw = hourly_kw[grid.feeders["feeder_id"].to_list().index(feeder)]
    hours = [window.start + HOUR * number for number in range(len(load_kw))]
    evening = np.array([_is_evening(hour) for hour in hours])
    least_kw = float(np.quantile(load_kw[evening], 1 - JOINT_SHARE))
    for first, end_of_run in find_true_runs(evening & (load_kw >= least_kw)):
        start, end = hours[first], hours[end_of_run - 1] + HOUR
        if not any(
            start < fault.end + APART and end > fault.start - APART for fault in faults[transformer]
        ):
            yield PlantedFault(
                KIND,
                "sensor",
                f"S-{transformer}",
                start,
                end,
                JOINT_VOLTAGE,
                None,
                f"A joint before it gives way: feeder {feeder} draws {least_kw:.1f} kW or more "
                f"between {JOINT_HOURS[0]}:00 and {JOINT_HOURS[1]}:00 local time",
            )


def _is_evening(hour: datetime) -> bool:
    return JOINT_HOURS[0] <= hour.astimezone(LOCAL_ZONE).hour < JOINT_HOURS[1]
