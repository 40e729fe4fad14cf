from smartgrid_io.mlflow.server import build_server_command


def test_the_password_of_the_database_stays_off_the_command_line():
    command = build_server_command(
        backend_url="postgresql://grid:secret@db/mlflow",
        artifact_root="s3://grid/mlflow",
        port=5500,
    )

    assert "secret" not in " ".join(command.argv)
    assert command.argv[1:] == (
        *("-m", "smartgrid_io.mlflow.tracking_server"),
        *("--host", "127.0.0.1", "--port", "5500"),
    )
    assert command.env == {
        "MLFLOW_BACKEND_STORE_URI": "postgresql://grid:secret@db/mlflow",
        "MLFLOW_ARTIFACTS_DESTINATION": "s3://grid/mlflow",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    assert command.health_url == "http://127.0.0.1:5500/health"


def test_a_server_for_other_machines_says_by_which_names_it_is_reached():
    command = build_server_command(
        backend_url="sqlite:////mlflow.db",
        artifact_root="/artifacts",
        port=5500,
        host="0.0.0.0",  # noqa: S104  # what a container listens on
        allowed_hosts=("mlflow:5500", "localhost:5500"),
    )

    assert command.argv[-2:] == ("--allowed-hosts", "mlflow:5500,localhost:5500")
    assert command.url == "http://127.0.0.1:5500"
