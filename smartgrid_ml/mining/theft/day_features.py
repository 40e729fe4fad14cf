"""What a meter's day looks like against its own past, its peers and the calendar."""

from dataclasses import dataclass

import numpy as np

from smartgrid_core.arrays import F32, I64, Bool
from smartgrid_ml.mining.theft.attacks import is_night

BLOCKS = 8
"""Parts of a day, of three hours each."""

QUANTILES = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)
"""Of the slots of a day."""

NEAREST = 5
"""Past days that are most like a day, of which means are taken."""

SMALL = 0.02
"""Share of the mean slot that is added before a logarithm: less than that is as good as nothing."""

LEAST_LEVEL_KWH = 1e-4
LEAST_SPREAD = 0.02
"""Floors under what is divided by: a meter that counts nothing has no level and no spread."""

DESCRIPTORS = (
    "total",
    *(f"quantile_{100 * share:.0f}" for share in QUANTILES),
    *(f"block_{number}" for number in range(BLOCKS)),
    "night_share",
    "zero_share",
    "longest_zero",
    "variation",
    "roughness",
    "autocorrelation",
    "rise_skewness",
    "step_sizes",
)
"""What describes a day by itself."""


def describe_days(days: F32) -> F32:
    """Return one row of `DESCRIPTORS` per day, float32 (..., len(DESCRIPTORS)).

    ``days``: float32 (..., n_slots), in units of the meter's mean slot. Sizes are logarithms.
    """
    n_slots = days.shape[-1]
    mean = days.mean(axis=-1)
    log_mean = np.log(mean + SMALL)
    at = np.rint(np.array(QUANTILES) * (n_slots - 1)).astype(int)
    quantiles = np.log(np.sort(days, axis=-1)[..., at] + SMALL)
    blocks = days.reshape(*days.shape[:-1], BLOCKS, n_slots // BLOCKS).mean(axis=-1)
    parts = [log_mean[..., None], quantiles, np.log(blocks + SMALL), _describe_course(days, mean)]
    return np.concatenate(parts, axis=-1).astype(np.float32)


def _describe_course(days: F32, mean: F32) -> F32:
    """Return the descriptors from `night_share` on: how energy is spread and how it changes.

    ``days``: (..., n_slots); ``mean``: of each day, (...).
    """
    n_slots = days.shape[-1]
    spread = days.std(axis=-1)
    centred = days - mean[..., None]
    variance = np.maximum((centred**2).mean(axis=-1), 1e-6)
    # from each slot to the next, (..., n_slots - 1)
    steps = np.diff(days, axis=-1)
    step_size = np.abs(steps)
    step_mean = step_size.mean(axis=-1)
    step_sd = np.maximum(steps.std(axis=-1), 1e-3)
    is_zero = days <= 1e-6
    return np.stack(
        [
            days[..., is_night(n_slots)].sum(axis=-1) / (days.sum(axis=-1) + SMALL),
            is_zero.mean(axis=-1),
            _measure_longest_run(is_zero) / n_slots,
            spread / (mean + SMALL),
            np.log((step_mean + SMALL) / (mean + SMALL)),
            (centred[..., 1:] * centred[..., :-1]).mean(axis=-1) / variance,
            np.clip((steps**3).mean(axis=-1) / step_sd**3, -20, 20),
            np.log((np.median(step_size, axis=-1) + SMALL) / (mean + SMALL)),
        ],
        axis=-1,
    )


def _measure_longest_run(flags: Bool) -> I64:
    """Return the length of the longest run of true along the last axis, (..., n) to (...).

    All days at once: `smartgrid_core.runs.find_true_runs` takes one row at a time.
    """
    running = np.zeros(flags.shape[:-1], dtype=np.int64)
    longest = running.copy()
    for slot in range(flags.shape[-1]):
        running = np.where(flags[..., slot], running + 1, 0)
        longest = np.maximum(longest, running)
    return longest


@dataclass(frozen=True, slots=True)
class Past:
    """The past days of one meter per row, and what is the same for every day compared with them."""

    days: F32
    """In units of the past's mean slot, (n, n_past, n_slots)."""
    level_kwh: F32
    """The mean slot of the past, (n,)."""
    described: F32
    """DESCRIPTORS of the days, (n, n_past, len(DESCRIPTORS))."""
    usual_nearest: F32
    """How far a past day is from the one most like it, in logarithms and in shape alone, (n, 2)."""

    @classmethod
    def from_kwh(cls, past_kwh: F32) -> "Past":
        """Return the pasts of past days in kWh, (n, n_past, n_slots)."""
        level = np.maximum(past_kwh.mean(axis=(1, 2)), LEAST_LEVEL_KWH).astype(np.float32)
        days = (past_kwh / level[:, None, None]).astype(np.float32)
        logs = np.log(days + SMALL)
        usual = [
            _measure_usual_nearest(logs),
            _measure_usual_nearest(logs - logs.mean(axis=2, keepdims=True)),
        ]
        return cls(days, level, describe_days(days), np.stack(usual, axis=1))


def compare_with_past(days_kwh: F32, past: Past) -> F32:
    """Return features of each day against its own past, float32 (n, len(COMPARISON_COLUMNS)).

    ``days_kwh``: (n, n_slots), NaN nowhere; ``past`` has as many rows.
    """
    days = (days_kwh / past.level_kwh[:, None]).astype(np.float32)
    described = describe_days(days)
    # middle and spread of each descriptor over the past days, (n, len(DESCRIPTORS))
    middle = np.median(past.described, axis=1)
    spread = np.median(np.abs(past.described - middle[:, None]), axis=1) + LEAST_SPREAD
    lower = (past.described < described[:, None]).mean(axis=1)
    equal = (past.described == described[:, None]).mean(axis=1)
    moved = described - middle
    of_descriptors = [
        described,
        moved,
        moved / spread,
        lower + equal / 2,
        described - past.described.min(axis=1),
        described - past.described.max(axis=1),
        middle,
        spread,
    ]
    of_days = [
        *_compare_slots(days, past),
        *_compare_with_nearest(days, past),
        np.log(past.level_kwh),
    ]
    columns = [*of_descriptors, *(column[:, None] for column in of_days)]
    return np.concatenate(columns, axis=1).astype(np.float32)


def _compare_slots(days: F32, past: Past) -> list[F32]:
    """Return columns SLOT_COLUMNS, each (n,): every slot against the same slot of past days."""
    logs, past_logs = np.log(days + SMALL), np.log(past.days + SMALL)
    # usual slots, (n, n_slots)
    mean, sd = past_logs.mean(axis=1), past_logs.std(axis=1) + 0.1
    profile, night = past.days.mean(axis=1), is_night(days.shape[1])
    # distance in deviations and share of past days below, (n, n_slots)
    z, z_reversed = (logs - mean) / sd, (logs[:, ::-1] - mean) / sd
    rank = (past.days < days[:, None]).mean(axis=1) + (past.days == days[:, None]).mean(axis=1) / 2
    blocks = rank.reshape(len(days), BLOCKS, -1).mean(axis=2)
    return [
        z.mean(axis=1),
        (z**2).mean(axis=1),
        z.std(axis=1),
        z.min(axis=1),
        rank.mean(axis=1),
        rank.std(axis=1),
        rank[:, night].mean(axis=1),
        rank[:, ~night].mean(axis=1),
        (days < past.days.min(axis=1)).mean(axis=1),
        (rank < 0.1).mean(axis=1),
        (rank > 0.9).mean(axis=1),
        (z**2).mean(axis=1) - (z_reversed**2).mean(axis=1),
        _correlate_rows(days, profile),
        _correlate_rows(days[:, ::-1], profile),
        _correlate_rows(logs, mean),
        _correlate_rows(logs[:, ::-1], mean),
        *blocks.T,
    ]


SLOT_COLUMNS = (
    "slot_z_mean",
    "slot_z_square",
    "slot_z_sd",
    "slot_z_min",
    "slot_rank_mean",
    "slot_rank_sd",
    "slot_rank_night",
    "slot_rank_day",
    "slots_below_all",
    "slots_below_tenth",
    "slots_above_ninth",
    "reversed_fits_better",
    "profile_correlation",
    "profile_correlation_reversed",
    "log_correlation",
    "log_correlation_reversed",
    *(f"slot_rank_block_{number}" for number in range(BLOCKS)),
)


def _compare_with_nearest(days: F32, past: Past) -> list[F32]:
    """Return columns NEAREST_COLUMNS, each (n,): the day against the past days most like it.

    By the logarithms of slots, then by their shape alone; forwards and with the day reversed, for a
    reversed day is like the past from its end.
    """
    logs, past_logs = np.log(days + SMALL), np.log(past.days + SMALL)
    centre, past_centre = logs.mean(axis=1, keepdims=True), past_logs.mean(axis=2, keepdims=True)
    columns: list[F32] = []
    for number, (day, before) in enumerate(
        ((logs, past_logs), (logs - centre, past_logs - past_centre))
    ):
        # distance to each past day as it is and reversed, (n, n_past)
        there = _compute_distances(day[:, None], before)[:, 0]
        back = _compute_distances(day[:, None, ::-1], before)[:, 0]
        nearest = np.argpartition(there, NEAREST, axis=1)[:, :NEAREST]
        their_centre = np.take_along_axis(past_centre[:, :, 0], nearest, axis=1)
        columns += [
            there.min(axis=1),
            np.take_along_axis(there, nearest, axis=1).mean(axis=1),
            past.usual_nearest[:, number],
            there.min(axis=1) / (past.usual_nearest[:, number] + 0.05),
            back.min(axis=1),
            there.min(axis=1) - back.min(axis=1),
            there.mean(axis=1) - back.mean(axis=1),
            centre[:, 0] - their_centre.mean(axis=1),
            centre[:, 0] - their_centre.min(axis=1),
        ]
    return columns


NEAREST_COLUMNS = tuple(
    f"{name}_{what}"
    for name in ("log", "shape")
    for what in (
        "nearest",
        "nearest_few",
        "usual_nearest",
        "nearest_ratio",
        "reversed_nearest",
        "reversed_nearer",
        "reversed_nearer_on_average",
        "lower_than_nearest",
        "lower_than_all_near",
    )
)

COMPARISON_COLUMNS = (
    *(
        f"{name}{what}"
        for what in ("", "_moved", "_z", "_rank", "_below", "_above", "_usual", "_spread")
        for name in DESCRIPTORS
    ),
    *SLOT_COLUMNS,
    *NEAREST_COLUMNS,
    "level",
)
"""Columns of `compare_with_past`."""

MOVED_POSITIONS = tuple(
    COMPARISON_COLUMNS.index(f"{name}_moved")
    for name in ("total", "quantile_0", "quantile_50", *(f"block_{n}" for n in range(BLOCKS)))
)
"""Positions in COMPARISON_COLUMNS of what is compared with peers: how far the day's total, least
slot, median slot and blocks lie from what is usual."""


def _measure_usual_nearest(logs: F32) -> F32:
    """Return the median distance of a past day to its nearest; (n, n_past, n_slots) to (n,)."""
    distances = _compute_distances(logs, logs)
    np.einsum("nii->ni", distances)[:] = np.inf
    usual: F32 = np.median(distances.min(axis=2), axis=1)
    return usual


def _compute_distances(a: F32, b: F32) -> F32:
    """Return the root mean square distance of every row of a to every row of b.

    (n, rows_a, n_slots) and (n, rows_b, n_slots) to (n, rows_a, rows_b).
    """
    square = (
        (a**2).mean(axis=2)[:, :, None]
        + (b**2).mean(axis=2)[:, None, :]
        - 2 * np.matmul(a, b.transpose(0, 2, 1)) / a.shape[2]
    )
    distance: F32 = np.sqrt(np.maximum(square, 0))
    return distance


def _correlate_rows(a: F32, b: F32) -> F32:
    """Return the correlation of each row of a with that of b, (n, n_slots) to (n,)."""
    a = a - a.mean(axis=1, keepdims=True)
    b = b - b.mean(axis=1, keepdims=True)
    size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    correlation: F32 = (a * b).sum(axis=1) / np.maximum(size, 1e-6)
    return correlation
