"""Tables of what kinds of consumers there are: profiles, segments, their history, outliers."""

import dataframely as dy

from smartgrid_core.contracts.columns import identifier, one_of, utc

HOURS = 24

DAY_KINDS = ("weekday", "weekend")
"""Saturdays, Sundays and public holidays are `weekend`."""

SEGMENT_STATES = ("new", "kept", "returned", "ended")


class ConsumerProfiles(dy.Schema):
    """One row per meter_id: how it draws (or feeds in) energy on a typical day of a window.

    Hours are local. A standard week has five weekdays and two weekend days, so that the shapes'
    weighted mean is 1, whatever the meter's size. Only measured intervals count.
    """

    meter_id = identifier(primary_key=True, description="The meter.")
    window_start = utc(description="Start of the window, UTC.")
    window_end = utc(description="End of the window, UTC, itself not included.")
    weekday_shape = dy.Array(
        dy.Float32(min=0),
        HOURS,
        description=(
            "Mean power of each local hour of a weekday, 0 to 23, in multiples of `mean_kw`."
        ),
    )
    weekend_shape = dy.Array(
        dy.Float32(min=0),
        HOURS,
        description="The same of a weekend day: Saturday, Sunday or public holiday.",
    )
    mean_kw = dy.Float64(min_exclusive=0, description="Mean power of a standard week, kW.")
    variability = dy.Float64(
        min=0,
        description=(
            "Standard deviation of the daily mean powers over their mean; 0 for fewer than two "
            "whole days."
        ),
    )
    peak_hour = dy.Int32(
        min=0, max=23, description="Local hour of the highest mean power in a standard week."
    )
    night_share = dy.Float64(
        min=0,
        max=1,
        description=(
            "Part of a standard week's energy from 00:00 to 06:00, 0 to 1; of a flat load 0.25."
        ),
    )
    weekend_share = dy.Float64(
        min=0,
        max=1,
        description=(
            "Part of a standard week's energy on its two weekend days, 0 to 1; of a flat load 2/7."
        ),
    )
    midday_dip = dy.Float64(
        nullable=True,
        description=(
            "By how much the mean power of 11:00 to 15:00, in multiples of `mean_kw`, lies below "
            "the feeder's median; null with fewer than three meters, and for registers of "
            "feed-in."
        ),
    )
    is_feed_in = dy.Bool(description="Whether the meter counts what is fed in.")
    has_feed_in = dy.Bool(
        description="Whether its customer has a register of feed-in, or it is one."
    )
    coverage = dy.Float64(
        min=0, max=1, description="Part of the window that measured intervals cover, 0 to 1."
    )


class ConsumerSegments(dy.Schema):
    """One row per meter_id that belongs to a segment, by its profile of the days up to `day`.

    Distances are in the space of clustered profiles (0 to about 1). Feed-in registers are a segment
    by what they are, not by clustering.
    """

    meter_id = identifier(primary_key=True, description="The meter.")
    day = dy.Date(description="The last day of the profiles' window.")
    segment_id = identifier(
        description="The segment, the same from run to run: S1, S2 ... or FEED_IN."
    )
    segment_name = dy.String(description="What sets the segment apart, in words.")
    distance = dy.Float64(
        nullable=True,
        min=0,
        description="Distance to the segment's centre; null for feed-in registers.",
    )
    margin = dy.Float64(
        nullable=True,
        min=0,
        description=(
            "How much further the next centre is; null without a second centre, and for feed-in "
            "registers."
        ),
    )


class SegmentHistory(dy.Schema):
    """One row per (day, segment_id): the segment as it was found at the end of `day`.

    A segment that has ended has one row without meters; what depends on them is null there.
    """

    day = dy.Date(primary_key=True, description="The last day of the profiles' window.")
    segment_id = identifier(primary_key=True, description="The segment, the same from run to run.")
    segment_name = dy.String(description="What sets the segment apart, in words.")
    state = one_of(
        *SEGMENT_STATES,
        description=(
            "Whether the segment is `new`, `kept` from the last run, `returned` after it had "
            "ended, or `ended`."
        ),
    )
    meters = dy.Int64(min=0, description="Meters of the segment.")
    share = dy.Float64(min=0, max=1, description="Part of all meters in segments, 0 to 1.")
    mean_kw = dy.Float64(
        nullable=True, min=0, description="Mean over its meters of their mean power, kW."
    )
    night_share = dy.Float64(
        nullable=True,
        min=0,
        max=1,
        description="Mean over its meters of the part of energy from 00:00 to 06:00, 0 to 1.",
    )
    weekend_share = dy.Float64(
        nullable=True,
        min=0,
        max=1,
        description=(
            "Mean over its meters of the part of a standard week's energy on weekend days, 0 to 1."
        ),
    )
    peak_hour = dy.Int32(
        nullable=True, min=0, max=23, description="Local hour at which most of its meters peak."
    )
    moved = dy.Float64(
        nullable=True,
        min=0,
        description=(
            "How far its centre went since it was last found, as a distance of profiles; null for"
            " a new one and for feed-in registers."
        ),
    )
    stability = dy.Float64(
        nullable=True,
        min=-1,
        max=1,
        description=(
            "Mean adjusted Rand index of clusterings of resampled meters, the same for all "
            "segments of a run; null where nothing was clustered and for feed-in registers."
        ),
    )


class SegmentBands(dy.Schema):
    """One row per (day, segment_id, day_kind, hour): the segment's typical day, local hours."""

    day = dy.Date(primary_key=True, description="The last day of the profiles' window.")
    segment_id = identifier(primary_key=True, description="The segment.")
    day_kind = one_of(
        *DAY_KINDS, primary_key=True, description="Weekday, or weekend with public holidays."
    )
    hour = dy.Int32(primary_key=True, min=0, max=23, description="Local hour of the day, 0 to 23.")
    p10 = dy.Float64(
        min=0, description="P10 over the segment's meters, in multiples of each meter's mean power."
    )
    p50 = dy.Float64(
        min=0,
        description="Median over the segment's meters, in multiples of each meter's mean power.",
    )
    p90 = dy.Float64(
        min=0, description="P90 over the segment's meters, in multiples of each meter's mean power."
    )
    mean = dy.Float64(
        min=0,
        description="Mean over the segment's meters, in multiples of each meter's mean power.",
    )
    mean_kw = dy.Float64(min=0, description="Mean power of one of its meters in that hour, kW.")


class ConsumerOutliers(dy.Schema):
    """One row per meter_id whose profile is like no other, by the days up to `day`.

    DBSCAN's noise: no profile of a dense cluster lies within `eps`.
    """

    meter_id = identifier(primary_key=True, description="The meter.")
    day = dy.Date(description="The last day of the profiles' window.")
    neighbour_distance = dy.Float64(
        min=0,
        description=(
            "Distance to the `min_samples`-th nearest profile, the meter itself counted, in the "
            "space of reduced profiles."
        ),
    )
    eps = dy.Float64(
        min=0,
        description=(
            "Radius within which profiles are neighbours, in the same space; the same for all "
            "meters of a run."
        ),
    )
    score = dy.Float64(
        min=0, description="`neighbour_distance` / `eps`; 0 where all profiles are the same."
    )
    mean_kw = dy.Float64(
        min_exclusive=0, description="The meter's mean power of a standard week, kW."
    )
    reason = dy.String(description="What is unusual, in words.")
