"""A SavedModel in MLflow's model format: its signature, an input example, how to load it.

Written by hand because `mlflow.tensorflow.log_model` would load the SavedModel into this process
and save another one; here the files that are served are the files that are kept.
"""

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from smartgrid_core.rollout.labels import OUTPUTS

SAVED_MODEL_DIR = "saved_model"


def write_mlflow_model(
    folder: Path, *, saved_model: Path, example: pl.DataFrame, run_id: str, model: Any
) -> None:
    """Fill `folder` with the MLflow model of a forecaster's SavedModel.

    `mlflow.pyfunc.load_model` then answers with p10, p50 and p90.

    Args:
        folder: An empty folder.
        saved_model: The SavedModel's folder, copied as it is.
        example: Input rows, one column per input of the model.
        run_id: The run that made the model.
        model: MLflow's LoggedModel.
    """
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    def tensors(names: tuple[str, ...]) -> Schema:
        return Schema([TensorSpec(np.dtype(np.float32), (-1,), name) for name in names])

    requirement = f"tensorflow=={_read_tensorflow_version()}"
    shutil.copytree(saved_model, folder / SAVED_MODEL_DIR)
    _write_example(folder, example)
    (folder / "requirements.txt").write_text(f"{requirement}\n", encoding="utf-8")
    described = Model(
        artifact_path=model.artifact_location,
        run_id=run_id,
        model_id=model.model_id,
        signature=ModelSignature(inputs=tensors(tuple(example.columns)), outputs=tensors(OUTPUTS)),
        saved_input_example_info={
            "artifact_path": "input_example.json",
            "serving_input_path": "serving_input_example.json",
            "type": "dataframe",
            "pandas_orient": "split",
        },
    )
    # MLflow's name for "call this signature by the names of its inputs".
    described.add_flavor(
        "tensorflow",
        code=None,
        saved_model_dir=SAVED_MODEL_DIR,
        model_type="tf1-estimator",
        meta_graph_tags=["serve"],
        signature_def_key="serving_default",
    )
    # `mlflow.pyfunc.add_to_model` would write the same and take seconds to import.
    described.add_flavor(
        "python_function",
        loader_module="mlflow.tensorflow",
        python_version=platform.python_version(),
    )
    described.model_size_bytes = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    described.save(str(folder / "MLmodel"))


def _write_example(folder: Path, example: pl.DataFrame) -> None:
    """Write the rows in pandas' split form, and as a scoring server's payload; NaN is null."""
    split = (
        example.with_columns(pl.all().cast(pl.Float32).fill_nan(None))
        .to_pandas()
        .to_json(orient="split", index=False)
    )
    (folder / "input_example.json").write_text(split, encoding="utf-8")
    payload = f'{{"dataframe_split": {split}}}'
    (folder / "serving_input_example.json").write_text(payload, encoding="utf-8")


def _read_tensorflow_version() -> str:
    """Return the version of the installed wheel, `tensorflow-cpu` or `tensorflow`, without
    importing it.
    """
    try:
        return version("tensorflow-cpu")
    except PackageNotFoundError:
        return version("tensorflow")
