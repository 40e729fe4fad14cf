"""One model server process: ports first, then TensorFlow, then the folders, until a signal."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
from aiohttp import web

from smartgrid_core.errors import ServerError
from smartgrid_services.model_server.metrics import Metrics
from smartgrid_services.model_server.options import ServerOptions
from smartgrid_services.model_server.rest.app import RestApi, RestDependencies
from smartgrid_services.model_server.servables.loading import ServableLoader
from smartgrid_services.model_server.version_manager import LoadRetry, VersionManager
from smartgrid_services.model_server.watch import ModelWatch

log = logging.getLogger(__name__)

_GRACE_SECONDS = 10.0
"""What a request in flight gets to finish when the server is asked to end."""
_PARENT_SECONDS = 0.5

_TENSORFLOW_ENVIRONMENT = {
    # The server runs graphs; without Keras TensorFlow imports in two thirds of the time.
    "TF_USE_LEGACY_KERAS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


async def serve(options: ServerOptions, *, parent: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises ServerError if a port is taken or TensorFlow fails.

    `parent` is the process that started this one, whose end may be this one's.

    `/health` answers at once; predictions, and gRPC as a whole, once TensorFlow is imported.
    """
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    metrics = Metrics()
    loading = ServableLoader(options, metrics)
    manager = VersionManager(
        loading.load,
        keep=options.versions_kept,
        retry=LoadRetry(options.max_num_load_retries, options.load_retry_interval_micros / 1e6),
    )
    watch = ModelWatch(manager, options.build_sources())
    beginning = _Startup(manager, watch, metrics, options)
    served = RestDependencies(manager, watch, metrics, serving=beginning.done.is_set)
    with ThreadPoolExecutor(options.count_rest_threads(), thread_name_prefix="rest") as executor:
        api = RestApi(served, executor=executor)
        app = api.build_application(max_body_bytes=options.max_body_mb * 1024**2)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE_SECONDS)
        await runner.setup()
        try:
            await _bind_rest(runner, options)
            beginning.bind()
            beginning.start()
            await _wait_until_ended(ended, beginning, options, parent=parent)
        finally:
            await runner.cleanup()
            beginning.stop()
            loading.close()
    if beginning.failure is not None:
        raise ServerError(f"the model server cannot serve: {beginning.failure}")


async def _bind_rest(runner: web.AppRunner, options: ServerOptions) -> None:
    try:
        await web.TCPSite(runner, options.host, options.rest_port).start()
    except OSError as error:
        raise ServerError(
            f"REST port {options.rest_port} of {options.host} cannot be had, choose another with "
            f"--rest-port: {error.strerror}"
        ) from error
    log.info("REST answers at http://%s:%s", options.host, options.rest_port)


async def _wait_until_ended(
    ended: asyncio.Event, beginning: "_Startup", options: ServerOptions, *, parent: int
) -> None:
    """Return once a signal came, the start-up failed, or the parent is gone.

    Args:
        ended: Set by SIGTERM and SIGINT.
        beginning: The thread that brings in TensorFlow.
        options: Says whether the parent's end is this process's end.
        parent: Process number of the parent at the start.
    """
    while not ended.is_set() and beginning.failure is None:
        if options.exit_with_parent and os.getppid() != parent:
            log.warning("the process that started this one is gone")
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), _PARENT_SECONDS)


class _Startup(threading.Thread):
    """Imports TensorFlow, opens gRPC, then looks at the folders once per poll interval."""

    def __init__(
        self, manager: VersionManager, watch: ModelWatch, metrics: Metrics, options: ServerOptions
    ) -> None:
        super().__init__(name="folders", daemon=True)
        self.done = threading.Event()
        self.failure: Exception | None = None
        self._manager = manager
        self._watch = watch
        self._metrics = metrics
        self._options = options
        self._ending = threading.Event()
        self._set_serving: Callable[[bool], None] = lambda _: None
        self._grpc = grpc.server(
            ThreadPoolExecutor(options.count_grpc_threads(), thread_name_prefix="grpc"),
            options=[
                ("grpc.max_receive_message_length", options.max_body_mb * 1024**2),
                ("grpc.max_send_message_length", -1),
                # Two servers on one port would each get half of the calls.
                ("grpc.so_reuseport", 0),
            ],
        )

    def bind(self) -> None:
        """Take the gRPC port; calls wait there until TensorFlow is imported."""
        address = f"{self._options.host}:{self._options.grpc_port}"
        try:
            self._grpc.add_insecure_port(address)
        except RuntimeError as error:
            raise ServerError(
                f"gRPC port {self._options.grpc_port} of {self._options.host} cannot be had, "
                f"choose another with --grpc-port: {error}"
            ) from error

    def run(self) -> None:
        """Start up, then poll until stopped; the body of the thread."""
        try:
            self._begin()
        except Exception as error:
            log.exception("the model server cannot begin")
            self.failure = error
            return
        seen = ""
        while not self._ending.is_set() and self.failure is None:
            seen = self._look(seen)
            self._watch.wait(self._options.poll_seconds)

    def stop(self) -> None:
        """Let calls in flight finish, then close the models, unless the start-up never ended."""
        self._ending.set()
        self._watch.wake()
        if not self.done.is_set():
            return
        self._grpc.stop(_GRACE_SECONDS).wait()
        self.join(_GRACE_SECONDS)
        if not self.is_alive():
            self._manager.close()

    def _begin(self) -> None:
        for name, value in _TENSORFLOW_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import tensorflow as tf

        from smartgrid_services.model_server.rpc.server import register_services

        tf.get_logger().setLevel("ERROR")
        # TensorFlow's millions of objects stay for ever: not to be walked through in every
        # collection, which would make the requests of that moment wait.
        gc.collect()
        gc.freeze()
        self._set_serving = register_services(
            self._grpc,
            manager=self._manager,
            watch=self._watch,
            metrics=self._metrics,
            largest_filled=self._options.max_body_mb * 1024**2,
        )
        self._grpc.start()
        self.done.set()
        log.info("gRPC answers at %s:%s", self._options.host, self._options.grpc_port)

    def _look(self, seen: str) -> str:
        """Look at the folders once and return why that failed, empty if it did not.

        A failure is logged when it differs from the one of the look before, and changes nothing.
        """
        try:
            self._watch.look()
            self._set_serving(not self._watch.list_reasons())
        except ServerError as error:
            self.failure = error
        except OSError as error:
            if str(error) != seen:
                log.warning("the base path cannot be read, nothing changes: %s", error)
            return str(error)
        except Exception as error:
            if str(error) != seen:
                log.exception("the folders could not be followed, tried again")
            return str(error)
        return ""
