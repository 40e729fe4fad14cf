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
    """A regressor kept as the MOJO of H2O."""

    mojo: bytes
    """A zip file."""
    names: Sequence[str]
    """The columns of its inputs, in order."""

    def predict(self, inputs: F64) -> F64:
        """Return the answers of H2O's own scorer, float64 (rows,), of inputs (rows, names).

        NaN is unknown; infinite inputs count as the largest number. Every call starts a JVM and
        takes about a second. Raises SmartGridError with the scorer's output if it fails.
        """
        if not len(inputs):
            return np.zeros(0)
        finite = np.nan_to_num(np.asarray(inputs, np.float64), nan=np.nan)
        with tempfile.TemporaryDirectory(prefix="smartgrid-h2o-") as place:
            folder = Path(place)
            (folder / "model.zip").write_bytes(self.mojo)
            table = pl.DataFrame(finite, schema=list(self.names), orient="row").fill_nan(None)
            table.write_csv(folder / "inputs.csv")
            command = build_java_command(
                "hex.genmodel.tools.PredictCsv",
                *("--mojo", "model.zip", "--input", "inputs.csv", "--output", "answers.csv"),
                "--decimal",  # as many digits as tell doubles apart
                options=SCORER_OPTIONS,
            )
            done = subprocess.run(  # noqa: S603 - our own command
                command, cwd=folder, check=False, capture_output=True, text=True, timeout=SCORER_S
            )
            if done.returncode or not (folder / "answers.csv").exists():
                raise SmartGridError(f"H2O's scorer failed: {(done.stderr or done.stdout)[-500:]}")
            answers = pl.read_csv(folder / "answers.csv", schema_overrides=[pl.Float64])
        return answers["predict"].fill_null(np.nan).to_numpy()
