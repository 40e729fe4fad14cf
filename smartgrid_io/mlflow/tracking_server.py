"""MLflow's tracking server in one process; run as a program.

`mlflow server` imports MLflow, prepares its stores and starts a second process that imports it all
again: twice the time and twice the memory. This does the same in one process, with MLflow's own
application, stores and protection against other hosts. Stores are named by the environment, see
`smartgrid_io.mlflow.server.build_server_command`.
"""

import argparse
import gc
import os
import uuid
from collections.abc import Sequence
from pathlib import Path

ARTIFACTS = "mlflow-artifacts:/"
"""Clients send artifacts to the server, which alone knows where they lie."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Prepare the stores (tables are made, or brought up to date) and serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="MLflow's tracking server in one process")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, required=True, help="TCP port to listen at")
    parser.add_argument("--allowed-hosts", help="names by which clients may ask, by comma")
    options = parser.parse_args(arguments)
    backend, artifacts = (
        os.environ[name] for name in ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_ARTIFACTS_DESTINATION")
    )
    os.environ.update(
        {
            "_MLFLOW_SERVER_FILE_STORE": backend,
            "_MLFLOW_SERVER_REGISTRY_STORE": backend,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": ARTIFACTS,
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": artifacts,
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "_MLFLOW_SERVER_BOOT_ID": uuid.uuid4().hex,
            "_MLFLOW_SGI_NAME": "uvicorn",
        }
    )
    if options.allowed_hosts:
        os.environ["MLFLOW_SERVER_ALLOWED_HOSTS"] = options.allowed_hosts

    # Whatever an import makes stays: a collection in between finds nothing and takes a tenth.
    gc.disable()
    # Only now: the application reads these variables when it is imported.
    import mlflow
    import uvicorn
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    gc.freeze()
    gc.enable()
    initialize_backend_stores(backend, backend, ARTIFACTS)
    logs = Path(mlflow.__file__).parent / "server" / "uvicorn_log_config.yaml"
    uvicorn.run(app, host=options.host, port=options.port, log_config=str(logs))


if __name__ == "__main__":
    main()
