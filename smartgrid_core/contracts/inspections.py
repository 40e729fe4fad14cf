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

    `node_id` is a feeder, transformer or substation with a power sensor. Energies in kWh, net:
    consumption positive, feed-in negative. `head_kwh` is null where the sensor was silent for part
    of the hour or stood still throughout it, `metered_kwh` where none of the `expected_meters`
    below the node reported; `meters` did. `estimated_share` of the meters' energy is an estimate of
    VEE.
    """

    node_id = identifier(primary_key=True)
    hour_start = utc(primary_key=True)
    node_kind = one_of("substation", "feeder", "transformer")
    head_kwh = dy.Float64(nullable=True)
    metered_kwh = dy.Float64(nullable=True)
    meters = dy.Int32(min=0)
    expected_meters = dy.Int32(min=1)
    estimated_share = dy.Float64(min=0, max=1)


class EnergyBalance(dy.Schema):
    """One row per (node_id, day): energy that entered below a node and that no meter counted, kWh.

    Over the `hours` of the UTC day of which head and all meters are known: `unexplained_kwh` =
    `head_kwh` - `metered_kwh` - `loss_kwh`, of which `loss_kwh` is the technical loss estimated
    from the node's calm days; `band_kwh` is how far it strays from zero when nothing is wrong.
    Both are null where too few days are known, and so is what depends on them.
    """

    node_id = identifier(primary_key=True)
    day = dy.Date(primary_key=True)
    node_kind = one_of("substation", "feeder", "transformer")
    hours = dy.Int32(min=1, max=24)
    head_kwh = dy.Float64()
    metered_kwh = dy.Float64()
    loss_kwh = dy.Float64(nullable=True)
    unexplained_kwh = dy.Float64(nullable=True)
    band_kwh = dy.Float64(nullable=True, min=0)
    is_beyond = dy.Bool(nullable=True)


class Inspections(dy.Schema):
    """One row per meter (or node) that is worth a visit, the most worthwhile first.

    `rank` counts from 1. `probability` that something is wrong with the meter, calibrated on
    attacks that were injected into this grid's own history. `theft_score` is what the meter's days
    say by themselves, `balance_score` how well the energy that its node misses follows it (-1 to
    1, null without a balance); `suspected_since` the first suspicious local day.
    `recoverable_kwh_month` is energy per 30 days that a mend would bring back, estimated from
    `basis`. `reason` is sentences for people.
    """

    subject_id = identifier(primary_key=True)
    subject_kind = one_of("meter", "transformer", "feeder", "substation")
    rank = dy.Int32(min=1)
    suspicion = one_of(*SUSPICIONS)
    pattern = dy.String()
    probability = dy.Float64(nullable=True, min=0, max=1)
    theft_score = dy.Float64(nullable=True)
    balance_score = dy.Float64(nullable=True, min=-1, max=1)
    node_id = identifier(nullable=True)
    suspected_since = dy.Date(nullable=True)
    days_judged = dy.Int32(min=0)
    recoverable_kwh_month = dy.Float64(nullable=True, min=0)
    basis = one_of(*BASES)
    reason = dy.String()
    judged_from = utc()
    judged_to = utc()
