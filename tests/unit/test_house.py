"""What holds how the code reads finds what it should, and leaves the rest alone."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

HOUSE = Path(__file__).parents[2] / ".ci" / "house.py"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module `.ci/house.py`, which looks at an empty tree."""
    spec = importlib.util.spec_from_file_location("house", HOUSE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "house", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def write(root: Path, text: str, *, name: str = "smartgrid_core/module.py") -> Path:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def run_git(root: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=root, check=True, capture_output=True)


FOUR_PARAMETERS = '''
def add_loads(load_kw, *, day, low, high):
    """Return the sum.

    {text}

    Returns:
        high: not an argument's line.
    """
    return load_kw
'''


def test_each_of_four_parameters_needs_a_line(house: ModuleType, tmp_path: Path):
    text = "Args:\n        load_kw: Mean power, kW.\n        day: UTC; low: of nothing."
    file = write(tmp_path, FOUR_PARAMETERS.format(text=text))
    assert list(house.find_unexplained(list(house.read_functions([file])))) == [
        "smartgrid_core/module.py:2 add_loads: Args: lacks low, high"
    ]


def test_one_line_may_explain_two_parameters(house: ModuleType, tmp_path: Path):
    text = "Args:\n        load_kw: kW,\n            more: of it.\n        day: UTC.\n"
    file = write(tmp_path, FOUR_PARAMETERS.format(text=f"{text}        low, high: Bounds, kW."))
    assert list(house.find_unexplained(list(house.read_functions([file])))) == []


def test_a_parameter_within_a_sentence_is_not_explained(house: ModuleType):
    assert house.read_explained("Do.\n\nArgs:\n    day: Of hours: all.\n") == {"day"}
    assert house.read_explained("Do `day: x` with hours: all.") == set()


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("def settle_day(): ...", "settle_day"),
        ("async def settle_day(): ...", "settle_day"),
        ("class SettleNot: ...\ndef keep(*, told): ...", "told"),
        ("import json as told", "told"),
        ("from json import dumps as heard_of", "heard_of"),
        ("try: ...\nexcept ValueError as told: ...", "told"),
        ("send(told=1)", "told"),
        ("said_kw = 1", "said_kw"),
    ],
)
def test_a_banned_word_is_found_wherever_a_name_is_given(
    code: str, name: str, house: ModuleType, tmp_path: Path
):
    breaches = list(house.find_banned([write(tmp_path, code)]))
    assert [breach.split()[1].rstrip(":") for breach in breaches] == [name]


def test_the_job_that_people_know_keeps_its_name(house: ModuleType, tmp_path: Path):
    assert list(house.find_banned([write(tmp_path, "settle_canary = 1")])) == []


def test_without_git_every_file_counts(
    house: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = write(tmp_path, "")
    write(tmp_path, "", name="smartgrid_io/migrations/0001.py")
    write(tmp_path, "", name="elsewhere/module.py")
    monkeypatch.setenv("PATH", "")
    assert house.list_files(tmp_path) == [file]


def test_an_unpacked_archive_has_no_repository(
    house: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    file = write(tmp_path, "")
    assert house.list_files(tmp_path) == [file]


def test_files_that_git_does_not_know_yet_count(house: ModuleType, tmp_path: Path):
    run_git(tmp_path, "init")
    tracked, removed = write(tmp_path, ""), write(tmp_path, "", name="demo/gone.py")
    run_git(tmp_path, "add", ".")
    removed.unlink()
    fresh = write(tmp_path, "", name="smartgrid_core/deep/fresh.py")
    write(tmp_path, "smartgrid_core/ignored.py\n", name=".gitignore")
    write(tmp_path, "", name="smartgrid_core/ignored.py")
    assert house.list_files(tmp_path) == [fresh, tracked]
