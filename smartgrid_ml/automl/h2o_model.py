"""A model that H2O trained, kept as H2O's own portable file: it needs no cluster to answer."""

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from smartgrid_core.arrays import F64
from smartgrid_core.errors import SmartGridError
from smartgrid_ml.automl.h2o_cluster import build_java_command

SCORER_S = 600.0
"""Ten thousand rows take seconds; a scorer that takes longer hangs."""

SCORER_OPTIONS = ("-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Half of the time of a call is the start of the JVM: compile little, collect simply."""


@dataclass(frozen=True, slots=True)
class H2OModel:
    """The MOJO, a zip file, and the columns in the order in which it is asked."""

    mojo: bytes
    names: Sequence[str]

    def predict(self, inputs: F64) -> F64:
        """The library's own scorer's answers for (rows, names), NaN where unknown: (rows,).

        A JVM of its own per call, about a second. Infinite inputs count as the largest number.
        Raises SmartGridError with what the scorer said if it fails.
        """
        if not len(inputs):
            return np.zeros(0)
        finite = np.nan_to_num(np.asarray(inputs, np.float64), nan=np.nan)
        with tempfile.TemporaryDirectory(prefix="smartgrid-h2o-") as place:
            folder = Path(place)
            (folder / "model.zip").write_bytes(self.mojo)
            asked = pl.DataFrame(finite, schema=list(self.names), orient="row").fill_nan(None)
            asked.write_csv(folder / "asked.csv")
            command = build_java_command(
                "hex.genmodel.tools.PredictCsv",
                *("--mojo", "model.zip", "--input", "asked.csv", "--output", "answered.csv"),
                "--decimal",  # as many digits as tell doubles apart
                options=SCORER_OPTIONS,
            )
            done = subprocess.run(  # noqa: S603 - our own command
                command, cwd=folder, check=False, capture_output=True, text=True, timeout=SCORER_S
            )
            if done.returncode or not (folder / "answered.csv").exists():
                raise SmartGridError(f"H2O's scorer failed: {(done.stderr or done.stdout)[-500:]}")
            answered = pl.read_csv(folder / "answered.csv", schema_overrides=[pl.Float64])
        return answered["predict"].fill_null(np.nan).to_numpy()
