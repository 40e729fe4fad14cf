"""What the registry has to know of a version's training, and what to do where it does not."""

from collections.abc import Iterable, Mapping

TRAINING_SPAN = ("data_start", "data_end")
"""The parameters with the first instant of the training data and the one behind its last, UTC."""

FORECASTER = "forecaster"
"""The parameter with the name under which the leaderboard lists who was trained."""


def explain_missing_params(
    params: Mapping[str, str], names: Iterable[str], *, version: str
) -> str | None:
    """Return which of the parameters the registry lacks, and the mend; None if it has them all.

    >>> explain_missing_params({"data_start": "2026-01-01"}, TRAINING_SPAN, version="3")
    'the registry does not say data_end of version 3: log it at its MLflow run, or train anew'
    """
    missing = [name for name in names if name not in params]
    if not missing:
        return None
    what, it = " and ".join(missing), "it" if len(missing) == 1 else "them"
    return (
        f"the registry does not say {what} of version {version}: log {it} at its MLflow run, or"
        " train anew"
    )
