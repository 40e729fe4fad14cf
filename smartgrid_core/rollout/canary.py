"""When a canary is rolled back at once: it fails or is slow where stable is not. Pure."""

import polars as pl

from smartgrid_core.rollout.labels import CANARY, STABLE

MORE_FAILURES = 0.05
"""Share of calls by which canary may fail more often than stable."""

FEWEST_FAILURES = 2
"""One call may meet a restart; a call is a batch, so the second one comes with the next."""

SLOWER_TIMES, SLOWER_MS = 2.0, 100.0
"""Canary is too slow if its 95th percentile exceeds stable's by both."""

FEWEST_TIMED = 5
"""Answered calls of each variant without which nothing is said about latency."""


def describe_regression(log: pl.DataFrame, *, version: int) -> str | None:
    """Return why the canary must be rolled back, as a sentence; None if it does as well as stable.

    `log` has rows of `PredictionLog` of one model since `version` is its canary. Calls are counted,
    whatever the number of subjects in them. If stable fails as often, the server is the cause and
    the canary stays.
    """
    calls = log.unique("request_id").filter(
        (pl.col("variant") == STABLE)
        | (pl.col("model_version") == str(version))
        | (pl.col("outcome") == "failed")
    )
    failed, share = _count_failures(calls, CANARY)
    _, usual = _count_failures(calls, STABLE)
    if failed >= FEWEST_FAILURES and share > usual + MORE_FAILURES:
        last = calls.filter(pl.col("variant") == CANARY, pl.col("outcome") == "failed")
        error = last.sort("asked_at")["error"][-1]
        return f"{share:.0%} of its calls failed, of stable's {usual:.0%}; the last: {error}"
    slow, usual_ms = _measure_latency(calls, CANARY), _measure_latency(calls, STABLE)
    if slow is None or usual_ms is None:
        return None
    if slow > SLOWER_TIMES * usual_ms and slow > usual_ms + SLOWER_MS:
        return f"a call takes {slow:.0f} ms, of stable {usual_ms:.0f} ms (95th percentiles)"
    return None


def _count_failures(calls: pl.DataFrame, variant: str) -> tuple[int, float]:
    """Return how many calls of the variant failed, and their share (0 to 1)."""
    outcomes = calls.filter(pl.col("variant") == variant)["outcome"]
    failed = int((outcomes == "failed").sum())
    return failed, failed / len(outcomes) if len(outcomes) else 0.0


def _measure_latency(calls: pl.DataFrame, variant: str) -> float | None:
    """Return the 95th percentile of the variant's answered calls, ms; None for too few calls."""
    times = calls.filter(pl.col("variant") == variant, pl.col("outcome") == "answered")
    if times.height < FEWEST_TIMED:
        return None
    return float(times.select(pl.col("latency_ms").quantile(0.95, "higher")).item())
