"""What a meter's day looks like against its own past, its peers and the calendar."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smartgrid_ml.mining.theft.attacks import is_night

Floats = NDArray[np.float32]

BLOCKS = 8
"""Parts of a day, of three hours each."""

QUANTILES = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)
NEAREST = 5
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


def describe_days(days: Floats) -> Floats:
    """One row of `DESCRIPTORS` per day.

    ``days``: float32, (..., n_slots), in units of the meter's mean slot; result:
    float32, (..., len(DESCRIPTORS)). Sizes are logarithms.
    """
    n_slots = days.shape[-1]
    mean = days.mean(axis=-1)
    log_mean = np.log(mean + SMALL)
    at = np.rint(np.array(QUANTILES) * (n_slots - 1)).astype(int)
    quantiles = np.log(np.sort(days, axis=-1)[..., at] + SMALL)
    blocks = days.reshape(*days.shape[:-1], BLOCKS, n_slots // BLOCKS).mean(axis=-1)
    steps = np.diff(days, axis=-1)
    spread = days.std(axis=-1)
    centred = days - mean[..., None]
    variance = np.maximum((centred**2).mean(axis=-1), 1e-6)
    step_size = np.abs(steps)
    step_mean = step_size.mean(axis=-1)
    step_sd = np.maximum(steps.std(axis=-1), 1e-3)
    single = np.stack(
        [
            days[..., is_night(n_slots)].sum(axis=-1) / (days.sum(axis=-1) + SMALL),
            (days <= 1e-6).mean(axis=-1),
            _measure_longest_run(days <= 1e-6) / n_slots,
            spread / (mean + SMALL),
            np.log((step_mean + SMALL) / (mean + SMALL)),
            (centred[..., 1:] * centred[..., :-1]).mean(axis=-1) / variance,
            np.clip((steps**3).mean(axis=-1) / step_sd**3, -20, 20),
            np.log((np.median(step_size, axis=-1) + SMALL) / (mean + SMALL)),
        ],
        axis=-1,
    )
    parts = [log_mean[..., None], quantiles, np.log(blocks + SMALL), single]
    return np.concatenate(parts, axis=-1).astype(np.float32)


def _measure_longest_run(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The length of the longest run of true along the last axis."""
    running = np.zeros(flags.shape[:-1], dtype=np.int64)
    longest = running.copy()
    for slot in range(flags.shape[-1]):
        running = np.where(flags[..., slot], running + 1, 0)
        longest = np.maximum(longest, running)
    return longest


@dataclass(frozen=True, slots=True)
class Past:
    """The past days of one meter each, and what is the same for every day compared with them.

    ``days``: float32, (n, n_past, n_slots), in units of the past's mean slot ``level_kwh``, (n,);
    ``described``: (n, n_past, len(DESCRIPTORS)); ``usual_nearest``: (n, 2), how far a past day is
    from the one that is most like it, in logarithms and in shape alone.
    """

    days: Floats
    level_kwh: Floats
    described: Floats
    usual_nearest: Floats

    @classmethod
    def of(cls, past_kwh: Floats) -> "Past":
        """From the past days in kWh, (n, n_past, n_slots)."""
        level = np.maximum(past_kwh.mean(axis=(1, 2)), LEAST_LEVEL_KWH).astype(np.float32)
        days = (past_kwh / level[:, None, None]).astype(np.float32)
        logs = np.log(days + SMALL)
        usual = [
            _measure_usual_nearest(logs),
            _measure_usual_nearest(logs - logs.mean(axis=2, keepdims=True)),
        ]
        return cls(days, level, describe_days(days), np.stack(usual, axis=1))

    def of_rows(self, rows: NDArray[np.integer]) -> "Past":
        """The pasts at these positions, as often as they are named."""
        return Past(
            self.days[rows], self.level_kwh[rows], self.described[rows], self.usual_nearest[rows]
        )


def compare_with_past(days_kwh: Floats, past: Past) -> Floats:
    """Features of each day against its own past: float32, (n, len(COMPARED)).

    ``days_kwh``: (n, n_slots); ``past`` has as many rows.
    """
    days = (days_kwh / past.level_kwh[:, None]).astype(np.float32)
    described = describe_days(days)
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


def _compare_slots(days: Floats, past: Past) -> list[Floats]:
    logs, past_logs = np.log(days + SMALL), np.log(past.days + SMALL)
    mean, sd = past_logs.mean(axis=1), past_logs.std(axis=1) + 0.1
    profile, night = past.days.mean(axis=1), is_night(days.shape[1])
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


def _compare_with_nearest(days: Floats, past: Past) -> list[Floats]:
    logs, past_logs = np.log(days + SMALL), np.log(past.days + SMALL)
    centre, past_centre = logs.mean(axis=1, keepdims=True), past_logs.mean(axis=2, keepdims=True)
    columns: list[Floats] = []
    for number, (day, before) in enumerate(
        ((logs, past_logs), (logs - centre, past_logs - past_centre))
    ):
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
"""What `compare` tells of a day, in its order."""

MOVED_POSITIONS = tuple(
    COMPARISON_COLUMNS.index(f"{name}_moved")
    for name in ("total", "quantile_0", "quantile_50", *(f"block_{n}" for n in range(BLOCKS)))
)
"""Where `compare` says how far a day lies from what is usual, for the figures that peers share."""


def _measure_usual_nearest(logs: Floats) -> Floats:
    among = _compute_distances(logs, logs)
    np.einsum("nii->ni", among)[:] = np.inf
    usual: Floats = np.median(among.min(axis=2), axis=1)
    return usual


def _compute_distances(a: Floats, b: Floats) -> Floats:
    """Root mean square distance of every row of a to every row of b, (n, rows a, rows b)."""
    square = (
        (a**2).mean(axis=2)[:, :, None]
        + (b**2).mean(axis=2)[:, None, :]
        - 2 * np.matmul(a, b.transpose(0, 2, 1)) / a.shape[2]
    )
    distance: Floats = np.sqrt(np.maximum(square, 0))
    return distance


def _correlate_rows(a: Floats, b: Floats) -> Floats:
    a = a - a.mean(axis=1, keepdims=True)
    b = b - b.mean(axis=1, keepdims=True)
    size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    correlation: Floats = (a * b).sum(axis=1) / np.maximum(size, 1e-6)
    return correlation
