"""The content of a MOJO, the zip file in which H2O keeps a trained model.

Format: `model.ini` with `key = value` lines and the list of columns, predictors first; trees and
boosters as binary files beside it; of a stacked ensemble the same once more per model below
`models/`. Source: the readers of h2o-genmodel 3.46 (ModelMojoReader and its subclasses).
"""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smartgrid_core.errors import PublicationError


@dataclass(frozen=True, slots=True)
class Mojo:
    """One model of the file."""

    info: Mapping[str, str]
    """The `[info]` section of model.ini."""
    inputs: Sequence[str]
    """The columns that it looks at, in its own order."""
    files: Mapping[str, bytes]
    """Everything in the model's folder, by path open_submodel it."""

    @property
    def algorithm(self) -> str:
        """H2O's name: gbm, drf, xgboost, glm, deeplearning, stackedensemble."""
        return self.info["algo"]

    def read_value(self, key: str) -> Any:
        """Return a number, truth value or list of numbers; None if it is not written or null."""
        text = self.info.get(key, "null")
        return json.loads(text.replace("NaN", "null").replace("Infinity", "1e999"))

    def open_submodel(self, folder: str) -> "Mojo":
        """Return the model in a folder of this one."""
        return _parse_mojo(
            {
                path.removeprefix(folder): content
                for path, content in self.files.items()
                if path.startswith(folder)
            }
        )


def read_mojo(content: bytes) -> Mojo:
    """Return the model of a MOJO.

    Raises PublicationError for one that is no regression, was written big-endian, has columns of
    categories or an offset.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return _parse_mojo({name: archive.read(name) for name in archive.namelist()})


def _parse_mojo(files: Mapping[str, bytes]) -> Mojo:
    """Return the model whose `model.ini` is among the files; see `read_mojo`."""
    info: dict[str, str] = {}
    columns: list[str] = []
    section = ""
    for line in files["model.ini"].decode().splitlines():
        if line in ("[info]", "[columns]", "[domains]"):
            section = line
        elif section == "[info]" and " = " in line:
            key, value = line.split(" = ", 1)
            info[key] = value
        elif section == "[columns]" and line:
            columns.append(line)
    mojo = Mojo(info, columns[: int(info["n_features"])], files)
    if info["category"] != "Regression":
        raise PublicationError(f"H2O: a model for {info['category']} cannot be exported")
    if int(info["n_domains"]):
        raise PublicationError(
            "H2O: a model with columns of categories cannot be exported: train on numeric codes"
        )
    if info["endianness"] != "LITTLE_ENDIAN":
        raise PublicationError("H2O: a model written on a big-endian machine cannot be exported")
    if mojo.read_value("offset_column") or mojo.read_value("has_offset"):
        raise PublicationError("H2O: a model with an offset column cannot be exported")
    return mojo
