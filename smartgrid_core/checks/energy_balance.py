"""The judgement on energy balances: whether their technical losses are physically possible."""

from datetime import timedelta

import polars as pl

from smartgrid_core.checks.outcome import CheckOutcome, list_names

MOST_LOSS_SHARE = 0.4
"""Technical losses of a node, as a share of the energy that passes its head. Whole grids lose 2 to
10 % (CEER, 2nd Report on Power Losses, 2020), a feeder with much feed-in or little load a multiple
of that, since its iron losses go on; beyond, the sensor's scale or the tree is wrong."""

LEAST_HEAD_KWH = 1.0
"""A day on which less passes the head has no meaningful share."""


JUDGED_WEEKS = 4
"""The newest ones on record: what was wrong before them was mended, or is history by now."""


def judge_energy_balance(days: pl.DataFrame) -> CheckOutcome:
    """Judge the technical losses of every node over the newest JUDGED_WEEKS of the rows.

    ``days``: rows of `EnergyBalance`, one per node and UTC day, kWh; older ones are left out.
    A loss below zero, or a share of the energy at the head above MOST_LOSS_SHARE, is a warning:
    then `unexplained_kwh` of that node is not to be trusted either.
    """
    days = days.filter(pl.col("day") > pl.col("day").max() - timedelta(weeks=JUDGED_WEEKS))
    known = days.filter(pl.col("loss_kwh").is_not_null())
    nodes = (
        known.group_by("node_id")
        .agg(
            least_kwh=pl.col("loss_kwh").min(),
            loss_kwh=pl.col("loss_kwh").sum(),
            head_kwh=pl.col("head_kwh").abs().sum(),
        )
        .with_columns(share=pl.col("loss_kwh") / pl.max_horizontal("head_kwh", LEAST_HEAD_KWH))
        .sort("node_id")
    )
    negative = nodes.filter(pl.col("least_kwh") < 0)["node_id"].to_list()
    excessive = nodes.filter(pl.col("share") > MOST_LOSS_SHARE)
    warnings = []
    if negative:
        warnings.append(f"losses are below zero at {list_names(negative)}")
    if excessive.height:
        shares = [f"{node} {share:.0%}" for node, share in excessive["node_id", "share"].rows()]
        warnings.append(f"losses exceed {MOST_LOSS_SHARE:.0%} of the energy: {list_names(shares)}")
    largest = nodes["share"].max() if nodes.height else 0.0
    return CheckOutcome(
        summary=f"technical losses are known of {nodes.height} of {days['node_id'].n_unique()}"
        " nodes",
        warnings=tuple(warnings),
        figures={"nodes": nodes.height, "largest_loss_share": float(str(largest))},
    )
