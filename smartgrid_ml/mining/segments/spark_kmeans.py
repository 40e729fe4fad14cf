"""The centres of K-Means from Spark MLlib, for more profiles than one machine should take."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from smartgrid_core.errors import ConfigurationError
from smartgrid_ml.mining.segments.profile_points import Points

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CONNECT = "sc://"
"""A URL that begins so is a Spark Connect server's; any other is a master."""

STEPS, STARTS = 40, 3
"""One start may end in a poor corner; the one with the least sum of squares counts."""

ROWS_AT_ONCE = 1_000_000
"""As many rows are handed to Spark in one piece: some 200 MB."""


class SparkKMeans:
    """K-Means|| (Bahmani et al., 2012, PVLDB 5(7)) of Spark MLlib behind `CentreFinder`.

    ``url``: a master such as `local[*]` or `spark://host:7077`, or `sc://host:15002` of a Spark
    Connect server. Points go to Spark through this process, in float32: 0.2 GB per million.
    """

    name = "Spark MLlib"

    def __init__(self, url: str) -> None:
        self.url = url

    def find_centres(self, points: Points, *, k: int, seed: int) -> Points:
        """Return the centres of `k` clusters, float32 (k, n_columns).

        The session is closed again if it was opened here.

        Raises:
            ConfigurationError: PySpark is not installed, or Spark cannot be reached.
        """
        session, is_ours = _open_session(self.url)
        try:
            return _find_centres(session, points, k=k, seed=seed)
        finally:
            if is_ours:
                session.stop()


def _open_session(url: str) -> tuple["SparkSession", bool]:
    """Return a session, and whether it was opened here: one that runs belongs to someone else.

    Raises:
        ConfigurationError: PySpark is not installed, or Spark cannot be reached.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise ConfigurationError(
            "SMARTGRID_SEGMENT_ENGINE=spark needs PySpark, which is not installed: install the"
            " extra with `pip install 'smartgrid[spark]'`, or set SMARTGRID_SEGMENT_ENGINE=local"
        ) from error
    if (running := SparkSession.getActiveSession()) is not None:
        return running, False
    named = SparkSession.Builder().appName("smartgrid consumer_segments")
    try:
        if url.startswith(CONNECT):
            return named.remote(url).getOrCreate(), True
        quiet = named.master(url).config("spark.ui.enabled", "false")
        if url.startswith("local"):
            # A machine's name need not lead back to it.
            quiet = quiet.config("spark.driver.host", "127.0.0.1").config(
                "spark.driver.bindAddress", "127.0.0.1"
            )
        return quiet.getOrCreate(), True
    except Exception as error:
        public = url.split(";", maxsplit=1)[0]  # a token of Spark Connect stands behind it
        raise ConfigurationError(
            f"SMARTGRID_SPARK_URL={public}: Spark does not start or answer ({error});"
            " it needs a Java 17 or newer, or a master or Spark Connect server that is up"
        ) from error


def _find_centres(session: "SparkSession", points: Points, *, k: int, seed: int) -> Points:
    """Return the centres of the best of STARTS searches, float32 (k, n_columns).

    Args:
        session: The session that searches.
        points: float32 (n, n_columns).
        k: The number of centres.
        seed: Of the first search; later ones count on from it.
    """
    from functools import reduce

    from pyspark.ml.clustering import KMeans
    from pyspark.ml.feature import VectorAssembler
    from pyspark.sql import DataFrame

    columns = [f"c{number}" for number in range(points.shape[1])]
    parts = [
        session.createDataFrame(
            pl.DataFrame(points[start : start + ROWS_AT_ONCE], schema=columns).to_arrow(
                compat_level=pl.CompatLevel.oldest()
            )
        )
        for start in range(0, len(points), ROWS_AT_ONCE)
    ]
    rows = VectorAssembler(inputCols=columns, outputCol="features").transform(
        reduce(DataFrame.unionAll, parts)
    )
    vectors = rows.select("features").cache()
    models = [
        KMeans(k=k, seed=seed + start, maxIter=STEPS, tol=1e-5).fit(vectors)
        for start in range(STARTS)
    ]
    best = min(models, key=lambda model: model.summary.trainingCost)
    vectors.unpersist()
    return np.asarray(best.clusterCenters(), dtype=np.float32)
