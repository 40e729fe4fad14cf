"""The command line of the model server."""

import subprocess
import sys
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_services.model_server.launch import build_command
from smartgrid_services.model_server.model_config import ModelConfig
from smartgrid_services.model_server.options import ServerOptions, parse_options

PORTS = st.integers(1, 65535)


@given(
    st.builds(
        ServerOptions,
        base_path=st.sampled_from([Path("models"), Path("/a b/--c"), Path("-x")]),
        rest_port=PORTS,
        grpc_port=PORTS,
        host=st.sampled_from(["127.0.0.1", "0.0.0.0"]),  # noqa: S104  # read back, not bound
        versions_kept=st.integers(1, 9),
        poll_seconds=st.floats(0.01, 3600),
        max_body_mb=st.integers(1, 4096),
        exit_with_parent=st.booleans(),
        model_config_file=st.sampled_from([None, Path("/models/models.config")]),
        model_config_file_poll_wait_seconds=st.floats(0, 3600),
        allow_version_labels_for_unavailable_models=st.booleans(),
        max_num_load_retries=st.integers(0, 9),
        enable_batching=st.just(True),
        batching_parameters_file=st.sampled_from([None, Path("/models/batching.config")]),
        rest_api_num_threads=st.sampled_from([None, 4]),
        copies=st.sampled_from([None, Path("/copies")]),
    )
)
def test_options_survive_their_command_line(options):
    assert parse_options(options.to_arguments()) == options


def test_copies_go_to_the_home_of_who_starts_the_server(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    options = parse_options(["--model-base-path=memory://copied/m", "--model-name=m"])
    filesystem, path = fsspec.url_to_fs("memory://copied/m")
    filesystem.pipe(f"{path}/1/saved_model.pb", b"graph")
    sources = options.build_sources()
    (copy,) = sources.mirror.copy_versions(sources.models["m"]).values()
    assert copy.is_relative_to(tmp_path / ".cache" / "smartgrid" / "models")


def test_the_command_runs_this_interpreter():
    words = build_command(ServerOptions(base_path=Path("models")))
    assert words[:4] == [
        sys.executable,
        "-m",
        "smartgrid_services.model_server",
        "--base-path=models",
    ]


def test_the_real_server_s_command_line_is_understood():
    options = parse_options(
        [
            "--port=8600",
            "--rest_api_port=8601",
            "--model_config_file=/models/models.config",
            "--model_config_file_poll_wait_seconds=5",
            "--file_system_poll_wait_seconds=2",
            "--allow_version_labels_for_unavailable_models=false",
        ]
    )
    assert options == ServerOptions(
        grpc_port=8600,
        rest_port=8601,
        model_config_file=Path("/models/models.config"),
        model_config_file_poll_wait_seconds=5,
        poll_seconds=2,
        allow_version_labels_for_unavailable_models=False,
    )


def test_a_config_file_that_is_named_is_all_that_is_served():
    sources = ServerOptions(base_path=Path("/b"), model_config_file=Path("/c")).build_sources()
    assert (sources.base_path, sources.config_file, sources.config_required) == (
        None,
        Path("/c"),
        True,
    )


def test_a_base_path_is_scanned_and_may_hold_a_config_file():
    sources = ServerOptions(base_path=Path("/b")).build_sources()
    assert (sources.base_path, sources.config_file, sources.config_required) == (
        Path("/b"),
        Path("/b/models.config"),
        False,
    )


def test_a_single_model_is_served_under_its_name():
    options = parse_options(["--model_name=half_plus_two", "--model_base_path=/models/h"])
    assert options.build_sources().models == {
        "half_plus_two": ModelConfig("half_plus_two", "/models/h")
    }


def test_requests_that_wait_in_batches_have_more_threads():
    assert ServerOptions(base_path=Path("m")).count_rest_threads() == 16
    batching = ServerOptions(base_path=Path("m"), enable_batching=True, grpc_max_threads=40)
    assert (batching.count_rest_threads(), batching.count_grpc_threads()) == (128, 40)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--base-path=m", "--rest-port=0"],
        ["--base-path=m", "--versions-kept=0"],
        ["--base-path=m", "--enable-batching=perhaps"],
        ["--base-path=m", "--batching-parameters-file=b"],
    ],
)
def test_a_bad_command_line_is_refused(words, capsys):
    with pytest.raises(SystemExit):
        parse_options(words)
    assert "usage: python -m smartgrid_services.model_server" in capsys.readouterr().err


def test_starting_a_server_from_elsewhere_imports_no_tensorflow():
    script = (
        "import sys; from smartgrid_services.model_server import launch, server;"
        "print([n for n in sys.modules if n.split('.')[0] in ('tensorflow', 'dagster')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"
