import os
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from smartgrid_cli.machine.home import Home, HomeInUseError, is_same_process, read_json, write_json
from smartgrid_cli.main import run
from smartgrid_core.errors import ConfigurationError


def test_a_home_is_made_once_and_keeps_its_name(tmp_path: Path):
    home = Home(tmp_path / "home").make()
    assert home.tree == home.make().tree
    assert {p.name for p in home.root.iterdir()} >= {
        *("run", "logs", "dagster", "data_docs", "landing")
    }


@pytest.mark.parametrize("below", [".", "deeper/home"])
def test_a_home_that_is_a_file_is_said_in_a_sentence(
    tmp_path: Path, below: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigurationError) as told:
        Home(file / below).make()
    assert str(told.value) == f"{file} is no folder: name a folder in SMARTGRID_HOME"
    monkeypatch.setenv("SMARTGRID_HOME", str(file / below))
    monkeypatch.setattr("sys.argv", ["smartgrid", "status"])
    with pytest.raises(SystemExit) as ended:
        run()
    said = capsys.readouterr()
    assert (ended.value.code, said.err) == (1, "")
    assert f"{file} is no folder" in said.out.replace("\n", "")


def test_nobody_else_reads_what_is_kept(tmp_path: Path):
    file = tmp_path / "note.json"
    write_json(file, {"a": 1})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_json(file) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["note.json"]


def test_what_was_never_written_is_empty(tmp_path: Path):
    assert read_json(tmp_path / "none.json") == {}


def test_a_second_process_is_told_who_holds_the_home(tmp_path: Path):
    home = Home(tmp_path).make()
    with home.hold():
        home.publish_addresses({"dagster": "http://127.0.0.1:3000"})
        ask = (
            "import sys; from pathlib import Path; from smartgrid_cli.machine.home import *\n"
            "try:\n"
            "    with Home(Path(sys.argv[1])).hold(): print('held')\n"
            "except HomeInUseError as error: print(error)"
        )
        said = subprocess.run(
            [sys.executable, "-c", ask, str(tmp_path)], capture_output=True, text=True, check=True
        ).stdout
    assert f"process {os.getpid()} runs everything there (dagster http://127.0.0.1:3000)" in said
    with home.hold():
        pass


def test_the_home_is_free_after_its_holder_was_killed(tmp_path: Path):
    home = Home(tmp_path).make()
    hold = (
        "import sys, time; from pathlib import Path; from smartgrid_cli.machine.home import Home\n"
        "with Home(Path(sys.argv[1])).hold(): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(HomeInUseError, match=f"process {holder.pid} is starting"), home.hold():
            pass
        holder.kill()
        holder.wait()
        assert home.read_up_note() is None
        with home.hold():
            pass


def test_another_process_under_the_same_number_is_not_the_same():
    myself = psutil.Process()
    assert is_same_process(myself.pid, myself.create_time())
    assert not is_same_process(myself.pid, myself.create_time() - 60)


def test_a_folder_with_other_peoples_things_is_not_made_a_home(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("three years of work")
    with pytest.raises(ConfigurationError, match=r"holds other things \(thesis.txt\)"):
        Home(tmp_path).make()
