"""The signature of a SavedModel, loaded and asked in this process."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from smartgrid_core.errors import PublicationError
from smartgrid_core.rollout.labels import OUTPUTS
from smartgrid_ml.tensorflow_runtime import tensorflow

SIGNATURE = "serving_default"


@dataclass(frozen=True, slots=True)
class ServingSignature:
    """What a model server calls."""

    inputs: tuple[str, ...]
    """The names of its inputs, as the graph itself states them, in alphabetical order."""
    function: Any
    """Takes one tensor per input."""
    model: Any
    """The loaded SavedModel: it has to outlive its function."""

    def answer(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return p10, p50, p90 of rows of `as_served`, float32; NaN for a row without forecast.

        Raises PublicationError with the cause for a signature that cannot be asked with the
        columns of `rows`, that fails on them, or that has other outputs.
        """
        tf = tensorflow()
        try:
            answers = self.function(
                **{name: tf.constant(rows[name].to_numpy()) for name in rows.columns}
            )
            return pl.DataFrame({name: answers[name].numpy() for name in OUTPUTS})
        except KeyError as error:
            raise PublicationError(f"SavedModel: its signature has no output {error}") from error
        except (TypeError, ValueError, tf.errors.OpError) as error:
            raise PublicationError(f"SavedModel: {_read_first_line(error)}") from error


def load_signature(saved_model: Path) -> ServingSignature:
    """Return the signature `serving_default` of a SavedModel.

    Raises PublicationError with the cause for a folder that cannot be loaded or has none.
    """
    tf = tensorflow()
    try:
        model = tf.saved_model.load(str(saved_model))
        function = model.signatures[SIGNATURE]
    except KeyError as error:
        raise PublicationError(
            f"SavedModel: it has no signature {SIGNATURE}; export it with export_forecaster"
        ) from error
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise PublicationError(
            f"SavedModel: it cannot be loaded: {_read_first_line(error)}"
        ) from error
    _, inputs = function.structured_input_signature
    return ServingSignature(tuple(sorted(inputs)), function, model)


def _read_first_line(error: Exception) -> str:
    """Return the cause without the listing of the graph that TensorFlow adds to it."""
    return str(error).strip().partition("\n")[0]
