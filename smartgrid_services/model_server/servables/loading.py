"""From a version's folder to a servable that may answer: load, batch, warm up, count."""

import time
from pathlib import Path

from smartgrid_services.model_server.metrics import Metrics
from smartgrid_services.model_server.options import ServerOptions
from smartgrid_services.model_server.servables.batching import Batcher, BatchingServable
from smartgrid_services.model_server.servables.batching_parameters import (
    BatchingParameters,
    read_batching_parameters,
)
from smartgrid_services.model_server.servables.signatures import Servable
from smartgrid_services.model_server.status import Code, ServingError


class ServableLoader:
    """Loads versions as the options say. Raises ServerError for a bad batching file."""

    def __init__(self, options: ServerOptions, metrics: Metrics) -> None:
        self._options = options
        self._metrics = metrics
        self._batcher: Batcher | None = None
        if options.enable_batching:
            file = options.batching_parameters_file
            parameters = BatchingParameters() if file is None else read_batching_parameters(file)
            self._batcher = Batcher(parameters, metrics)

    def load(self, folder: Path) -> Servable:
        """Return a servable that has answered its warm-up requests.

        Raises ServingError saying what is wrong with the folder.
        """
        # Here, not above: TensorFlow is imported after the ports are taken.
        from smartgrid_services.model_server.servables import servable

        began = time.perf_counter()
        try:
            loaded: Servable = servable.load_servable(folder, self._metrics)
        except ServingError:
            self._metrics.load_attempts.add(str(folder), "fail")
            raise
        self._metrics.load_attempts.add(str(folder), "success")
        micros = (time.perf_counter() - began) * 1e6
        self._metrics.load_latency.add(str(folder), amount=micros)
        if self._options.enable_model_warmup:
            try:
                self._warm_up(loaded, folder)
            except BaseException:
                loaded.close()
                raise
        return loaded if self._batcher is None else BatchingServable(loaded, self._batcher)

    def close(self) -> None:
        """End the threads of batching."""
        if self._batcher is not None:
            self._batcher.close()

    def _warm_up(self, loaded: Servable, folder: Path) -> None:
        from smartgrid_services.model_server.servables import warmup

        began = time.perf_counter()
        status, count = Code.OK, 0
        try:
            count = warmup.warm_up(
                loaded, folder, times=self._options.num_request_iterations_for_warmup
            )
        except ServingError as error:
            status, count = error.code, 1
            raise
        finally:
            if count:
                micros = (time.perf_counter() - began) * 1e6
                self._metrics.warmup_latency.observe(str(folder), status.name, value=micros)
