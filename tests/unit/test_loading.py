import json
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

HEAVY = (
    *("tensorflow", "keras", "h2o", "tpot", "great_expectations"),
    *("mlflow", "lightgbm", "sklearn", "scipy", "fastapi"),
)


def test_loading_the_graph_and_the_demo_imports_no_heavy_library():
    code = (
        "import json, sys, smartgrid_cli.commands.demo, smartgrid_assets.definitions as graph\n"
        "graph.defs()\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(said.splitlines()[-1]) == []


def test_dagster_finds_the_graph_by_the_workspace_file_and_by_dg():
    root = Path(__file__).parents[2]
    location = yaml.safe_load((root / "workspace.yaml").read_text())["load_from"][0]
    project = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    assert location["python_module"]["module_name"] == project["code_location_target_module"]
    assert location["python_module"]["location_name"] == project["code_location_name"]
