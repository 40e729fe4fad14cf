"""The router: which variant answers for which subject, and what is logged of each call."""

import hashlib
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from smartgrid_core.contracts.serving import PredictionLog
from smartgrid_core.errors import ContractError, ModelUnavailableError
from smartgrid_core.model_protocols import ModelServer, Quantiles, RoutedForecasts
from smartgrid_core.rollout.labels import CANARY, OUTPUTS, STABLE, ServingState

DEFAULT_SHARE = 0.1
"""Of a canary that nobody has given a share: enough to see it fail, little enough to bear it."""

_HASH_RANGE = 2.0**64

_ANSWER_COLUMNS = {
    **dict.fromkeys(OUTPUTS, pl.Float64),
    **dict.fromkeys(("model_version", "variant"), pl.String),
}


@dataclass(frozen=True, slots=True)
class Split:
    """How subjects (feeders, customers) are dealt to the variants.

    A subject is dealt the same for ever; a share that grows takes subjects from stable and moves
    no other. Another salt deals anew.
    """

    canary_share: float = DEFAULT_SHARE
    salt: str = ""

    def variant_of(self, subject: str) -> str:
        """Return CANARY if the first 64 bits of sha256(salt + subject) lie within the share of
        their range.

        >>> Split(canary_share=1.0).variant_of("F1"), Split(canary_share=0.0).variant_of("F1")
        ('canary', 'stable')
        """
        digest = hashlib.sha256(f"{self.salt}{subject}".encode()).digest()
        drawn = int.from_bytes(digest[:8], "big") / _HASH_RANGE
        return CANARY if drawn < self.canary_share else STABLE


def find_split(splits: pl.DataFrame, model: str) -> Split:
    """Return the model's row of `TrafficSplits` as a split; the default one if it has none."""
    row = splits.filter(pl.col("model") == model)
    return Split(row["canary_share"][0], row["salt"][0]) if row.height else Split()


@dataclass(frozen=True, slots=True)
class Router:
    """Asks stable and canary for their subjects; stable answers for a canary that does not.

    To be made anew for each batch, with what is served and split then. Without a canary all is
    stable's.
    """

    server: ModelServer
    served: ServingState
    split: Split
    now: datetime

    def ask(self, features: Mapping[str, Any], subjects: Sequence[str]) -> RoutedForecasts:
        """Return quantiles for a batch; subjects: the feeder or customer of each row, (batch,).

        A row that nobody answers has nulls. Raises ContractError if stable refuses the features,
        or answers otherwise than agreed; a canary that does so has failed.
        """
        batch = pl.DataFrame({"subject_id": list(subjects)}).with_columns(
            routed_to=pl.Series([self._choose_variant(each) for each in subjects], dtype=pl.String)
        )
        columns = {name: np.asarray(values) for name, values in features.items()}
        is_open = np.ones(batch.height, dtype=bool)
        if self.served.canary is not None:
            # The connection is made here, or the variant that is asked first would seem the slower.
            self.server.list_live_versions(self.served.model)
        answers, log = [pl.DataFrame(schema={"row": pl.Int64, **_ANSWER_COLUMNS})], []
        for variant in (CANARY, STABLE):
            is_own = (batch["routed_to"] == CANARY).to_numpy()
            rows = np.flatnonzero(is_open & (is_own if variant == CANARY else True))
            if len(rows) == 0:
                continue
            call = self._call(variant, {name: values[rows] for name, values in columns.items()})
            log.append(call.log(batch[rows], model=self.served.model, now=self.now))
            if call.answer is not None:
                answers.append(_to_routed_rows(call.answer, rows=rows, variant=variant))
                is_open[rows] = False
        order = pl.DataFrame({"row": np.arange(batch.height)}, schema={"row": pl.Int64})
        return RoutedForecasts(
            frame=order.join(pl.concat(answers), on="row", how="left", maintain_order="left").drop(
                "row"
            ),
            log=pl.concat(log) if log else PredictionLog.create_empty(),
        )

    def _choose_variant(self, subject: str) -> str:
        return STABLE if self.served.canary is None else self.split.variant_of(subject)

    def _call(self, variant: str, features: Mapping[str, NDArray[Any]]) -> "_VariantCall":
        began = time.perf_counter()
        answer, error = None, None
        try:
            answer = self.server.predict(self.served.model, features, label=variant)
        except ModelUnavailableError as failure:
            error = str(failure)
        except ContractError as failure:
            if variant == STABLE:
                raise
            error = str(failure)
        return _VariantCall(variant, answer, error, 1000 * (time.perf_counter() - began))


@dataclass(frozen=True, slots=True)
class _VariantCall:
    """One call of a variant: what it answered, or why it did not, after so many milliseconds."""

    variant: str
    answer: Quantiles | None
    error: str | None
    latency_ms: float

    def log(self, batch: pl.DataFrame, *, model: str, now: datetime) -> pl.DataFrame:
        """Return rows of `PredictionLog` for a batch with columns subject_id and routed_to."""
        rows = batch.group_by("subject_id", "routed_to", maintain_order=True).agg(rows=pl.len())
        logged = rows.with_columns(
            request_id=pl.lit(uuid.uuid4().hex),
            variant=pl.lit(self.variant),
            asked_at=pl.lit(now).cast(pl.Datetime("us", "UTC")),
            model=pl.lit(model),
            model_version=pl.lit(self.answer and self.answer.model_version, dtype=pl.String),
            outcome=pl.lit("answered" if self.answer else "failed"),
            error=pl.lit(self.error, dtype=pl.String),
            latency_ms=pl.lit(self.latency_ms),
        )
        return PredictionLog.validate(logged.select(PredictionLog.column_names()), cast=True)


def _to_routed_rows(answer: Quantiles, *, rows: NDArray[np.intp], variant: str) -> pl.DataFrame:
    return answer.frame.select(
        pl.Series("row", rows, dtype=pl.Int64),
        pl.col(OUTPUTS).cast(pl.Float64),
        model_version=pl.lit(answer.model_version),
        variant=pl.lit(variant),
    )
