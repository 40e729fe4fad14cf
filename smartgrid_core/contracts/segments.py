"""Tables of what kinds of consumers there are: profiles, segments, their history, outliers."""

import dataframely as dy

from smartgrid_core.contracts.columns import identifier, one_of, utc

HOURS = 24

DAY_KINDS = ("weekday", "weekend")
"""Saturdays, Sundays and public holidays are `weekend`."""

SEGMENT_STATES = ("new", "kept", "returned", "ended")


class ConsumerProfiles(dy.Schema):
    """One row per meter_id: how it draws (or feeds in) energy on a typical day of a window.

    `weekday_shape` and `weekend_shape` are the mean power of each local hour, 0 to 23, in multiples
    of `mean_kw`, the mean power of a standard week (five weekdays, two weekend days), kW. So the
    shapes' weighted mean is 1, whatever the meter's size. Only measured intervals count;
    `coverage` is the part of the window that they cover.

    `variability`: standard deviation of the daily mean powers over their mean. `peak_hour`: local
    hour of the highest mean power in a standard week. `night_share`: part of the energy drawn from
    00:00 to 06:00 (a flat load: 0.25). `weekend_share`: part of a standard week's energy on its two
    weekend days (a flat load: 2/7). `midday_dip`: by how much the mean power of 11:00 to 15:00, in
    multiples of `mean_kw`, lies below the median of the neighbours on the feeder; null without
    neighbours, and for registers of feed-in. `is_feed_in`: the meter counts what is fed in;
    `has_feed_in`: its customer has such a register, or it is one.
    """

    meter_id = identifier(primary_key=True)
    window_start = utc()
    window_end = utc()
    weekday_shape = dy.Array(dy.Float32(min=0), HOURS)
    weekend_shape = dy.Array(dy.Float32(min=0), HOURS)
    mean_kw = dy.Float64(min_exclusive=0)
    variability = dy.Float64(min=0)
    peak_hour = dy.Int32(min=0, max=23)
    night_share = dy.Float64(min=0, max=1)
    weekend_share = dy.Float64(min=0, max=1)
    midday_dip = dy.Float64(nullable=True)
    is_feed_in = dy.Bool()
    has_feed_in = dy.Bool()
    coverage = dy.Float64(min=0, max=1)


class ConsumerSegments(dy.Schema):
    """One row per meter_id that belongs to a segment, by its profile of the days up to `day`.

    `distance` is to the segment's centre, `margin` how much further the next centre is, both in the
    space of clustered profiles (0 to about 1); null where there is no second centre. Feed-in
    registers are a segment by what they are, not by clustering: their distance is null.
    """

    meter_id = identifier(primary_key=True)
    day = dy.Date()
    segment_id = identifier()
    segment_name = dy.String()
    distance = dy.Float64(nullable=True, min=0)
    margin = dy.Float64(nullable=True, min=0)


class SegmentHistory(dy.Schema):
    """One row per (day, segment_id): the segment as it was found at the end of `day`.

    `state`: `new`; `kept` from the last run; `returned` after it had ended; `ended`, in one
    row without meters. `moved` is how far the centre went since it was last found, null for a new
    one.
    `share` is of all meters in segments. `stability` is the clustering's: the mean adjusted Rand
    index of resampled pairs, null where nothing was clustered.
    """

    day = dy.Date(primary_key=True)
    segment_id = identifier(primary_key=True)
    segment_name = dy.String()
    state = one_of(*SEGMENT_STATES)
    meters = dy.Int64(min=0)
    share = dy.Float64(min=0, max=1)
    mean_kw = dy.Float64(nullable=True, min=0)
    night_share = dy.Float64(nullable=True, min=0, max=1)
    weekend_share = dy.Float64(nullable=True, min=0, max=1)
    peak_hour = dy.Int32(nullable=True, min=0, max=23)
    moved = dy.Float64(nullable=True, min=0)
    stability = dy.Float64(nullable=True, min=-1, max=1)


class SegmentBands(dy.Schema):
    """One row per (day, segment_id, day_kind, hour): the segment's typical day, local hours.

    `p10`, `p50`, `p90` and `mean` over the segment's meters, in multiples of each meter's mean
    power; `mean_kw` is the mean power of one of its meters in that hour, kW.
    """

    day = dy.Date(primary_key=True)
    segment_id = identifier(primary_key=True)
    day_kind = one_of(*DAY_KINDS, primary_key=True)
    hour = dy.Int32(primary_key=True, min=0, max=23)
    p10 = dy.Float64(min=0)
    p50 = dy.Float64(min=0)
    p90 = dy.Float64(min=0)
    mean = dy.Float64(min=0)
    mean_kw = dy.Float64(min=0)


class ConsumerOutliers(dy.Schema):
    """One row per meter_id whose profile is like no other, by the days up to `day`.

    `neighbour_distance` is to the `min_samples`-th nearest profile, the meter itself counted; more
    than `eps`, and no profile of a dense cluster lies within `eps` either (DBSCAN's noise).
    `score` = `neighbour_distance` / `eps`. `reason` is a sentence about what is unusual.
    """

    meter_id = identifier(primary_key=True)
    day = dy.Date()
    neighbour_distance = dy.Float64(min=0)
    eps = dy.Float64(min=0)
    score = dy.Float64(min=0)
    mean_kw = dy.Float64(min_exclusive=0)
    reason = dy.String()
