"""Tables of what may be stolen or miscounted: energy balances and the list of inspections."""

import dataframely as dy

from smartgrid_core.contracts.columns import identifier, one_of, utc

SUSPICIONS = ("theft", "meter_fault", "unexplained_loss")
"""A bypassed or manipulated meter; a register that does not count as it should; energy that nobody
in particular is suspected of."""

BASES = ("energy_balance", "own_past", "reading_findings")
"""What the recovery expected from a visit is estimated from."""


class HeadEnergy(dy.Schema):
    """One row per (node_id, hour_start): energy at a node's sensor and at the meters below.

    Energies are net: consumption positive, feed-in negative.
    """

    node_id = identifier(
        primary_key=True, description="A feeder, transformer or substation with a power sensor."
    )
    hour_start = utc(primary_key=True, description="Start of the hour, UTC.")
    node_kind = one_of("substation", "feeder", "transformer", description="What the node is.")
    head_kwh = dy.Float64(
        nullable=True,
        description=(
            "Energy that entered at the node's sensors, kWh; null where one was silent for part "
            "of the hour or stood still throughout it."
        ),
    )
    metered_kwh = dy.Float64(
        nullable=True,
        description=(
            "Energy that the meters below counted, kWh; null where none of them reported the "
            "whole hour."
        ),
    )
    meters = dy.Int32(min=0, description="Meters below the node whose intervals cover the hour.")
    expected_meters = dy.Int32(min=1, description="Meters below the node by the topology.")
    estimated_share = dy.Float64(
        min=0,
        max=1,
        description="Part of the meters' energy, of either direction, that VEE estimated, 0 to 1.",
    )


class EnergyBalance(dy.Schema):
    """One row per (node_id, day): energy that entered below a node and that no meter counted.

    Over the `hours` of which head and all meters are known: `unexplained_kwh` = `head_kwh` -
    `metered_kwh` - `loss_kwh`. Losses and band are null where too few days are known, and so is
    what depends on them.
    """

    node_id = identifier(
        primary_key=True, description="A feeder, transformer or substation with a power sensor."
    )
    day = dy.Date(primary_key=True, description="The UTC day.")
    node_kind = one_of("substation", "feeder", "transformer", description="What the node is.")
    hours = dy.Int32(
        min=1, max=24, description="Hours of the day of which the head and all meters are known."
    )
    head_kwh = dy.Float64(description="Net energy that entered at the node in these hours, kWh.")
    metered_kwh = dy.Float64(
        description="Net energy that the meters below counted in these hours, kWh."
    )
    loss_kwh = dy.Float64(
        nullable=True,
        description="Technical loss of these hours, estimated from the node's calm days, kWh.",
    )
    unexplained_kwh = dy.Float64(
        nullable=True,
        description=(
            "What entered and neither meters nor technical losses explain, kWh; below zero where "
            "more was counted than entered."
        ),
    )
    band_kwh = dy.Float64(
        nullable=True,
        min=0,
        description=(
            "How far the unexplained energy of a day strays from zero when nothing is wrong, kWh."
        ),
    )
    is_beyond = dy.Bool(
        nullable=True, description="Whether the unexplained energy is above the band."
    )


class Inspections(dy.Schema):
    """One row per meter (or node) that is worth a visit, the most worthwhile first."""

    subject_id = identifier(primary_key=True, description="The meter or node to visit.")
    subject_kind = one_of(
        "meter", "transformer", "feeder", "substation", description="What the subject is."
    )
    rank = dy.Int32(min=1, description="Place on the list, from 1.")
    suspicion = one_of(
        *SUSPICIONS,
        description=(
            "`theft`: a bypassed or manipulated meter; `meter_fault`: a register that does not "
            "count as it should; `unexplained_loss`: energy that nobody in particular is "
            "suspected of."
        ),
    )
    pattern = dy.String(
        description=(
            "What the suspicious days look like, such as `low_at_night`; of a fault the kind of "
            "its first finding, of a node `unexplained_loss`."
        )
    )
    probability = dy.Float64(
        nullable=True,
        min=0,
        max=1,
        description=(
            "Probability that something is wrong with the meter, 0 to 1, if one meter in a "
            "hundred is; calibrated on attacks that were injected into this grid's own history. "
            "Null for faults and nodes."
        ),
    )
    theft_score = dy.Float64(
        nullable=True,
        description=(
            "What the meter's days say by themselves: their mean log-odds of theft. Null for "
            "faults and nodes."
        ),
    )
    balance_score = dy.Float64(
        nullable=True,
        min=-1,
        max=1,
        description=(
            "How well the energy that its node misses follows what the meter counts, or counts "
            "too little: the larger correlation, -1 to 1. Null without a balance."
        ),
    )
    node_id = identifier(
        nullable=True,
        description=(
            "The nearest node above the meter that has a balance, or the node itself; null for "
            "none."
        ),
    )
    suspected_since = dy.Date(
        nullable=True,
        description=(
            "The first suspicious day, local for theft, else UTC; null if no stretch of days "
            "stands out."
        ),
    )
    days_judged = dy.Int32(
        min=0,
        description=(
            "Days that were judged: local days of a suspected meter, days with a balance of a "
            "node, 0 for a fault."
        ),
    )
    recoverable_kwh_month = dy.Float64(
        nullable=True,
        min=0,
        description=(
            "Energy per 30 days that a mend would bring back, kWh; 0 for a fault that is over, and "
            "null in no row so far."
        ),
    )
    basis = one_of(
        *BASES,
        description=(
            "What `recoverable_kwh_month` is estimated from: what the node misses, the meter's "
            "own past, or the findings."
        ),
    )
    reason = dy.String(description="Sentences for people with the figures.")
    judged_from = utc(description="Start of the judged time, UTC.")
    judged_to = utc(description="End of the judged time, UTC, itself not included.")
