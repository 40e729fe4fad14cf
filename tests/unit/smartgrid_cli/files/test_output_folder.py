import pytest

from smartgrid_cli.files.output_folder import check_output_folder, open_output_folder
from smartgrid_core.errors import ConfigurationError


def test_results_appear_together_and_leave_other_files_alone(tmp_path):
    out = tmp_path / "a" / "b"
    with open_output_folder(out) as parts:
        (parts / "one").write_text("1")
        assert not out.exists()
    (out / "mine").write_text("kept")
    with open_output_folder(out) as parts:
        (parts / "one").write_text("2")
    assert {path.name: path.read_text() for path in out.iterdir()} == {"one": "2", "mine": "kept"}
    assert [path.name for path in out.parent.iterdir()] == ["b"]


def test_after_an_error_nothing_has_changed(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ZeroDivisionError), open_output_folder(out) as parts:
        (parts / "half").write_text(str(1 / 0))
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(ConfigurationError, match="there is a file of that name"):
        check_output_folder(tmp_path / "out")
    with pytest.raises(ConfigurationError, match=f"there is a file at {tmp_path / 'out'}; name a"):
        check_output_folder(tmp_path / "out" / "below")
