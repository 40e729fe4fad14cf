"""The command line of the model server."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_services.model_server.launch import command
from smartgrid_services.model_server.options import ServerOptions, parse

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
    )
)
def test_options_survive_their_command_line(options):
    assert parse(options.arguments()) == options


def test_the_command_runs_this_interpreter():
    words = command(ServerOptions(base_path=Path("models")))
    assert words[:4] == [
        sys.executable,
        "-m",
        "smartgrid_services.model_server",
        "--base-path=models",
    ]


@pytest.mark.parametrize(
    "words", [[], ["--base-path=m", "--rest-port=0"], ["--base-path=m", "--versions-kept=0"]]
)
def test_a_bad_command_line_is_refused(words, capsys):
    with pytest.raises(SystemExit):
        parse(words)
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
