"""Run as a script: writes the folder that the contract's tests expect a server to serve.

`python prepare_contract.py FOLDER [--seen-as PATH] [--saved-models MADE]` writes the models and
FOLDER/models.config, whose paths begin with PATH, the folder as the server sees it (a mount of a
container, say). MADE is a folder that `make_models.py` wrote; it is run without one.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MODELS = {
    # A zero-padded folder is version 123.
    "half_plus_three": ("half_plus_three", "00000123"),
    "half_plus_two": ("half_plus_two", "123"),
    "rows": ("rows", "1"),
    "kinds": ("kinds", "1"),
    "sums": ("sums", "1"),
}
"""The made SavedModel and the version's folder, by model name."""

CONFIG = """\
  config {{
    name: "{name}"
    base_path: "{path}"
    model_platform: "tensorflow"
    {more}
  }}
"""
LABELLED = """model_version_policy { specific { versions: 1 versions: 2 } }
    version_labels { key: "stable" value: 1 }
    version_labels { key: "canary" value: 2 }"""


def prepare(folder: Path, saved_models: Path, *, seen_as: Path) -> Path:
    """Copy the models into the folder; returns the config file."""
    for name, (saved_model, version) in MODELS.items():
        shutil.copytree(saved_models / saved_model, folder / name / version)
    for version in (1, 2, 3):
        shutil.copytree(saved_models / f"times_{version}", folder / "times" / str(version))
    shutil.copytree(saved_models / "times_1", folder / "times" / "latest")
    configs = [
        CONFIG.format(name=name, path=seen_as / name, more=LABELLED if name == "times" else "")
        for name in [*MODELS, "times"]
    ]
    config = folder / "models.config"
    config.write_text(f"model_config_list {{\n{''.join(configs)}}}\n")
    return config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seen-as", type=Path, help="the folder as the server sees it")
    parser.add_argument("--saved-models", type=Path, help="what make_models.py wrote")
    words = parser.parse_args()
    seen_as = words.seen_as or words.folder.absolute()
    if words.saved_models is not None:
        print(prepare(words.folder, words.saved_models, seen_as=seen_as))
        return
    with tempfile.TemporaryDirectory() as made:
        script = Path(__file__).with_name("make_models.py")
        subprocess.run([sys.executable, str(script), made], check=True)
        print(prepare(words.folder, Path(made), seen_as=seen_as))


if __name__ == "__main__":
    main()
