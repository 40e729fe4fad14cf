"""Metrics in Prometheus' text form."""

from smartgrid_services.model_server.metrics import (
    LATENCY_MICROS,
    Counter,
    Histogram,
    Metrics,
    measure_request,
)
from smartgrid_services.model_server.status import Code, ServingError


def test_a_counter_says_one_line_per_label_set():
    counter = Counter(":tensorflow:serving:request_count", "model_name", "status")
    counter.add("m", "OK")
    counter.add("m", "OK")
    counter.add('a"b\\c\n', "NOT_FOUND")
    assert list(counter.format_lines()) == [
        "# TYPE :tensorflow:serving:request_count counter",
        ':tensorflow:serving:request_count{model_name="a\\"b\\\\c\\n",status="NOT_FOUND"} 1',
        ':tensorflow:serving:request_count{model_name="m",status="OK"} 2',
    ]


def test_buckets_add_up_and_a_limit_belongs_to_its_bucket():
    histogram = Histogram(":h", (1.0, 10.0), "model")
    for value in (0.5, 1.0, 7.0, 70.0):
        histogram.observe("m", value=value)
    assert list(histogram.format_lines()) == [
        "# TYPE :h histogram",
        ':h_bucket{model="m",le="1"} 2',
        ':h_bucket{model="m",le="10"} 3',
        ':h_bucket{model="m",le="+Inf"} 4',
        ':h_sum{model="m"} 78.5',
        ':h_count{model="m"} 4',
    ]


def test_latency_has_the_buckets_of_the_real_server():
    assert [f"{limit:g}" for limit in LATENCY_MICROS[:4]] == ["10", "18", "32.4", "58.32"]
    assert len(LATENCY_MICROS) == 33


def test_names_of_models_that_do_not_exist_do_not_fill_the_memory():
    counter = Counter(":c", "model")
    for number in range(5000):
        counter.add(str(number))
    counter.add("0")
    lines = list(counter.format_lines())
    assert len(lines) == 1001
    assert ':c{model="0"} 2' in lines


def test_a_request_is_counted_by_its_status_and_timed_if_answered():
    metrics = Metrics()
    with measure_request(metrics, model="m", api="predict", entrypoint="REST"):
        pass
    for error in (ServingError(Code.NOT_FOUND, "no"), ZeroDivisionError()):
        try:
            with measure_request(metrics, model="m", api="predict", entrypoint="REST"):
                raise error
        except type(error):
            pass
    page = metrics.format_page().decode()
    for status in ("OK", "NOT_FOUND", "INTERNAL"):
        assert f':tensorflow:serving:request_count{{model_name="m",status="{status}"}} 1\n' in page
    assert (
        ':tensorflow:serving:request_latency_count{model_name="m",API="predict",'
        'entrypoint="REST"} 1\n' in page
    )
