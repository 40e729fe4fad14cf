"""The door between a caller's frames and narwhals."""

from typing import Any, cast

import narwhals as nw


def to_narwhals(native: object) -> nw.LazyFrame[Any]:
    """Any frame that narwhals knows, eager or lazy, named by the verbs that both kinds have."""
    return cast("nw.LazyFrame[Any]", nw.from_native(cast("Any", native)))
