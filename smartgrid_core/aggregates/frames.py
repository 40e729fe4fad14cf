"""The one conversion between a caller's frames and narwhals."""

from typing import Any, cast

import narwhals as nw


def to_narwhals(native: object) -> nw.LazyFrame[Any]:
    """Return any frame that narwhals knows, typed by the verbs of eager and lazy ones."""
    return cast("nw.LazyFrame[Any]", nw.from_native(cast("Any", native)))
