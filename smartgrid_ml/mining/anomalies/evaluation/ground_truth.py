"""How well anomalies meet a known truth: which faults are found, which alarms are false."""

from datetime import timedelta

import polars as pl

SHOWN_AS = {
    ("stuck_value", "sensor"): ("flatline",),
    ("stuck_value", "meter"): ("flatline",),
    ("gap", "sensor"): ("missing",),
    ("gap", "meter"): ("missing",),
    ("voltage_sag", "sensor"): ("out_of_band", "spike"),
    ("spike", "sensor"): ("spike",),
    ("level_shift", "sensor"): ("level_shift", "drift"),
    ("drift", "sensor"): ("drift", "level_shift"),
    ("phase_imbalance", "sensor"): ("phase_imbalance",),
    ("feeder_overload", "feeder"): ("out_of_band", "level_shift", "spike"),
}
"""By kind of fault and of its subject: the kinds of anomaly as which it may show. Readings cannot
show faults of other kinds."""

SLACK = timedelta(hours=3)
"""An anomaly that ends so little before a fault, or begins so little after it, is still its own."""

MONTH_DAYS = 30


def match_faults(
    anomalies: pl.DataFrame, planted: pl.DataFrame, *, topology: pl.DataFrame
) -> pl.DataFrame:
    """Return one row per planted fault that readings can show, by fault_id.

    The columns are fault_id, kind, subject_id, found, and reason, that of the first anomaly that
    found it. A fault is found by an anomaly of a kind as which it may show, at its subject or, for
    a feeder's fault, at a sensor of the feeder.

    ``anomalies``: rows of `Anomalies`. ``planted``: of `PlantedFaults`. ``topology``: of
    `GridTopology`.
    """
    shown = pl.DataFrame(
        [(kind, subject, shows) for (kind, subject), kinds in SHOWN_AS.items() for shows in kinds],
        schema=["kind", "subject_kind", "shown_as"],
        orient="row",
    )
    faults = planted.join(
        shown.select("kind", "subject_kind").unique(), on=["kind", "subject_kind"]
    )
    hits = (
        _spread_to_subjects(planted, topology=topology, reach="own")
        .join(shown, on=["kind", "subject_kind"])
        .join(_as_shown(anomalies), on=["subject", "shown_as"])
        .filter(_is_overlapping())
        .sort("anomaly_start")
        .unique("fault_id", keep="first")
    )
    return (
        faults.join(hits.select("fault_id", "reason"), on="fault_id", how="left")
        .select(
            "fault_id", "kind", "subject_id", found=pl.col("reason").is_not_null(), reason="reason"
        )
        .sort("fault_id")
    )


def find_false_alarms(
    anomalies: pl.DataFrame, planted: pl.DataFrame, *, topology: pl.DataFrame
) -> pl.DataFrame:
    """Return the rows of `Anomalies` that no planted fault explains.

    A fault explains what is strange at the same time at its own subject and at other sensors of its
    place; an overload explains it at all sensors of its feeder and above. What is out of band is
    measured against a fixed limit: true, whether somebody planted it or not.

    ``anomalies``: rows of `Anomalies`. ``planted``: of `PlantedFaults`. ``topology``: of
    `GridTopology`.
    """
    numbered = anomalies.filter(pl.col("kind") != "out_of_band").with_row_index("anomaly")
    explained = (
        _spread_to_subjects(planted, topology=topology, reach="place")
        .join(_as_shown(numbered), on="subject")
        .filter(_is_overlapping())
    )
    return numbered.join(explained.select("anomaly").unique(), on="anomaly", how="anti").drop(
        "anomaly"
    )


def count_most_per_month(alarms: pl.DataFrame) -> int:
    """Return the largest number of alarms of one subject in 30 days, counted from the first.

    What several quantities of a subject show at the same time is one alarm. ``alarms``: rows of
    `Anomalies`.
    """
    so_far = pl.col("end_time").cum_max().shift().over("subject_id")
    occasions = alarms.sort("subject_id", "start_time").filter(
        (pl.col("start_time") >= so_far).fill_null(value=True)
    )
    since = pl.col("start_time") - pl.col("start_time").min()
    month = (since.dt.total_days() // MONTH_DAYS).alias("month")
    counts = occasions.with_columns(month).group_by("subject_id", "month").len()
    return max(counts["len"].to_list(), default=0)


def _as_shown(anomalies: pl.DataFrame) -> pl.DataFrame:
    """Return anomalies with names that do not clash with those of planted faults."""
    return anomalies.rename(
        {
            "subject_id": "subject",
            "kind": "shown_as",
            "start_time": "anomaly_start",
            "end_time": "anomaly_end",
        }
    ).drop("subject_kind")


def _is_overlapping() -> pl.Expr:
    """Return whether fault and anomaly are no further apart than SLACK."""
    begins = pl.col("anomaly_start") < pl.col("end_time") + SLACK
    return begins & (pl.col("anomaly_end") > pl.col("start_time") - SLACK)


def _spread_to_subjects(
    planted: pl.DataFrame, *, topology: pl.DataFrame, reach: str
) -> pl.DataFrame:
    """Return the faults once per `subject` at which they may show.

    ``planted``: rows of `PlantedFaults`. ``topology``: of `GridTopology`. ``reach``: "own" for the
    fault's subject and a feeder's own sensors, "place" for all sensors of the place as well, and
    for a feeder's fault those below and above it.
    """
    parent = dict(topology.select("node_id", "parent_id").iter_rows())
    sensors = topology.filter(pl.col("node_kind") == "sensor")["node_id"].to_list()

    def list_above(node: str) -> list[str]:
        """Return the nodes above one, the nearest first."""
        path: list[str] = []
        up = parent.get(node)
        while up is not None and up not in path:
            path.append(up)
            up = parent.get(up)
        return path

    rows: list[tuple[str, str]] = []
    for fault_id, kind, subject in planted.select("fault_id", "subject_kind", "subject_id").rows():
        subjects = {subject}
        if kind == "feeder" and reach == "own":
            subjects |= {sensor for sensor in sensors if subject in list_above(sensor)[:1]}
        elif kind == "feeder":
            subjects |= {sensor for sensor in sensors if subject in list_above(sensor)}
            subjects |= {sensor for sensor in sensors if parent[sensor] in list_above(subject)}
        elif reach == "place":
            subjects |= {sensor for sensor in sensors if parent[sensor] == parent.get(subject)}
        rows.extend((fault_id, at_subject) for at_subject in sorted(subjects))
    at = pl.DataFrame(rows, schema={"fault_id": pl.String, "subject": pl.String}, orient="row")
    return planted.join(at, on="fault_id")
