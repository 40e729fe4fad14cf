import subprocess
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smartgrid_cli.display.version import find_commit
from smartgrid_cli.main import app


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "code.py").write_text("1\n")
    for command in (
        ["init", "-q"],
        ["add", "code.py"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first"],
    ):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    return tmp_path


def read_head(repository: Path) -> str:
    command = ["git", "-C", str(repository), "rev-parse", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_version_is_told_with_its_commit():
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.output.startswith(f"smartgrid {metadata.version('smartgrid')}, commit ")


def test_a_commit_is_that_of_the_repository_which_tracks_the_code(repository: Path):
    assert find_commit(repository) == read_head(repository)[:12]
    (repository / "code.py").write_text("2\n")
    assert find_commit(repository) == f"{read_head(repository)[:12]} with changes"


def test_a_repository_around_an_installed_copy_is_not_its_own(repository: Path, tmp_path: Path):
    installed = repository / ".venv" / "smartgrid_cli"
    installed.mkdir(parents=True)
    assert find_commit(installed) is None
