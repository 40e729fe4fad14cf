"""What counts as a model and as a version below a base path."""

import pytest

from smartgrid_services.model_server.versions import (
    find_versions,
    fingerprint_folder,
    fingerprint_graph,
    parse_version,
)


def test_numeric_folders_are_versions_and_all_else_is_not(tmp_path):
    for name in ("1", "02", "10", ".publishing-3", "latest", "4.tmp", "-5", "0", "٣", "9" * 19):
        (tmp_path / "load_forecaster" / name).mkdir(parents=True)
    (tmp_path / "load_forecaster" / "7").write_text("a file")
    (tmp_path / "empty").mkdir()
    (tmp_path / ".hidden" / "1").mkdir(parents=True)
    (tmp_path / "readme.txt").write_text("a file")
    folder = tmp_path / "load_forecaster"
    assert find_versions(tmp_path) == {
        "empty": {},
        "load_forecaster": {
            0: folder / "0",
            1: folder / "1",
            2: folder / "02",
            10: folder / "10",
        },
    }


@pytest.mark.parametrize(
    ("name", "version"),
    [
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), None),
        ("9" * 5000, None),
        ("0" * 5000 + "7", 7),
    ],
)
def test_a_version_is_no_larger_than_messages_carry(name, version):
    assert parse_version(name) == version


def test_without_a_base_path_nothing_is_known(tmp_path):
    with pytest.raises(FileNotFoundError):
        find_versions(tmp_path / "nowhere")


def test_an_imprint_changes_with_any_file_of_the_folder(tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_text("graph")
    (tmp_path / "variables" / "data").write_text("one")
    graph, whole = fingerprint_graph(tmp_path), fingerprint_folder(tmp_path)
    assert fingerprint_folder(tmp_path) == whole

    (tmp_path / "variables" / "data").write_text("more")
    assert fingerprint_graph(tmp_path) == graph
    assert fingerprint_folder(tmp_path) != whole

    (tmp_path / "saved_model.pb").write_text("other graph")
    assert fingerprint_graph(tmp_path) != graph
