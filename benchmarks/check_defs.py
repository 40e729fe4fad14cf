"""`dg check defs` of this project against the same of an empty Dagster project, in one run.

Prints the ratio and fails above 1.5, or if loading the definitions imports a heavy library.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
DG = Path(sys.executable).with_name("dg")
LIMIT = 1.5
ROUNDS = 3
HEAVY = (
    "tensorflow",
    "keras",
    "h2o",
    "tpot",
    "great_expectations",
    "mlflow",
    "lightgbm",
    "sklearn",
    "scipy",
)

EMPTY = {
    "pyproject.toml": (
        '[project]\nname = "empty"\nversion = "0"\nrequires-python = ">=3.11"\n'
        'dependencies = ["dagster"]\n'
        '[tool.dg]\ndirectory_type = "project"\n'
        '[tool.dg.project]\nroot_module = "empty"\n'
        'code_location_target_module = "empty.definitions"\n'
    ),
    "empty/__init__.py": "",
    "empty/definitions.py": "import dagster as dg\n\ndefs = dg.Definitions()\n",
}


def empty_project(folder: Path) -> Path:
    """Write a project without any definition into the folder."""
    for name, text in EMPTY.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def seconds(project: Path) -> float:
    """Wall time of one `dg check defs`. Raises RuntimeError with its words if it fails."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(project),
        "DG_CLI_TELEMETRY_ENABLED": "false",
        "XDG_RUNTIME_DIR": tempfile.gettempdir(),
    }
    start = time.perf_counter()
    done = subprocess.run(
        [DG, "check", "defs", "--use-active-venv"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"dg check defs failed in {project}: {done.stdout}{done.stderr}")
    return time.perf_counter() - start


def heavy_imports() -> list[str]:
    """The heavy libraries that loading our definitions pulls in."""
    code = (
        "import json, sys\n"
        "from smartgrid_assets.definitions import defs\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    found: list[str] = json.loads(said.splitlines()[-1])
    return found


def main() -> int:
    """The exit code: 0 only within the limit."""
    with tempfile.TemporaryDirectory() as folder:
        empty = empty_project(Path(folder))
        seconds(empty), seconds(ROOT)  # the first run of each reads from a cold disk
        pairs = [(seconds(empty), seconds(ROOT)) for _ in range(ROUNDS)]
    theirs, ours = min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
    heavy = heavy_imports()
    print(f"empty project {theirs:.2f} s, this project {ours:.2f} s: ratio {ours / theirs:.2f}")
    print(f"heavy libraries imported: {', '.join(heavy) or 'none'}")
    return 0 if ours / theirs <= LIMIT and not heavy else 1


if __name__ == "__main__":
    sys.exit(main())
