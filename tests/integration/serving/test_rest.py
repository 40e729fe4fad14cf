"""The REST side of the model server, asked with raw JSON."""

import json
import math

import httpx
import pytest

pytestmark = pytest.mark.xdist_group("model_server")


def post(serving, path, body):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = httpx.post(f"{serving.server.rest_url}/v1/models/{path}", content=content)
    return answer.status_code, json.loads(answer.content)


def get(serving, path):
    answer = httpx.get(f"{serving.server.rest_url}/v1/models/{path}")
    return answer.status_code, answer.json()


@pytest.fixture
def two_versions(serving, model):
    serving.publish("times_1", model=model, version=1)
    serving.publish("times_2", model=model, version=2)
    return model


@pytest.fixture
def sums(serving, model):
    serving.publish("sums", model=model)
    return model


def test_columns_in_give_columns_out_of_the_newest_version(serving, two_versions):
    body = {"inputs": {"load_kw": [1, 2.5], "temperature_c": [0.5, 0.0]}}
    assert post(serving, f"{two_versions}:predict", body) == (
        200,
        {"outputs": {"p10": [1.5, 4.0], "p50": [2.5, 5.0], "p90": [3.5, 6.0]}},
    )


def test_rows_in_give_rows_out_of_the_version_asked_for(serving, two_versions):
    body = {
        "signature_name": "serving_default",
        "instances": [
            {"load_kw": 1.0, "temperature_c": 0.5},
            {"load_kw": 2.5, "temperature_c": 0.0},
        ],
    }
    assert post(serving, f"{two_versions}/versions/1:predict", body) == (
        200,
        {
            "predictions": [
                {"p10": 0.5, "p50": 1.5, "p90": 2.5},
                {"p10": 1.5, "p50": 2.5, "p90": 3.5},
            ]
        },
    )


def test_one_input_and_one_output_stand_bare(serving, sums):
    rows = [[1, 2, 3], [0.1, 0.2, 0.3]]
    assert post(serving, f"{sums}:predict", {"instances": rows}) == (
        200,
        {"predictions": [6.0, 0.6]},
    )
    assert post(serving, f"{sums}:predict", {"inputs": rows}) == (200, {"outputs": [6.0, 0.6]})
    assert post(serving, f"{sums}:predict", {"inputs": {"x": rows}}) == (
        200,
        {"outputs": [6.0, 0.6]},
    )


def test_another_signature_answers_by_its_name(serving, sums):
    body = {"signature_name": "doubled", "instances": [[1, 2, 3]]}
    assert post(serving, f"{sums}:predict", body) == (200, {"predictions": [12.0]})


def test_not_a_number_and_infinity_go_in_and_come_out(serving, sums):
    body = b'{"instances": [[NaN, 0, 0], [Infinity, 0, 0], [-Infinity, 0, 0]]}'
    code, answer = post(serving, f"{sums}:predict", body)
    assert code == 200
    assert math.isnan(answer["predictions"][0])
    assert answer["predictions"][1:] == [math.inf, -math.inf]


def test_text_whole_numbers_and_truth_keep_their_kind(serving, model):
    serving.publish("kinds", model=model)
    body = {
        "inputs": {
            "text": ["kWh", {"b64": "8J+Xsg=="}],
            "count": [9007199254740993, -1],
            "flag": [True, False],
        }
    }
    assert post(serving, f"{model}:predict", body) == (
        200,
        {
            "outputs": {
                "next": [9007199254740994, 0],
                "not": [False, True],
                "raw_bytes": [{"b64": "a1do"}, {"b64": "8J+Xsg=="}],
                "said": ["kWh!", "🗲!"],
            }
        },
    )


def test_outputs_of_unequal_length_are_told_by_columns_only(serving, model):
    serving.publish("kinds", model=model)
    columns = {"signature_name": "total", "inputs": {"count": [1, 2]}}
    assert post(serving, f"{model}:predict", columns) == (
        200,
        {"outputs": {"count": [1, 2], "total": 3}},
    )
    rows = {"signature_name": "total", "instances": [{"count": 1}, {"count": 2}]}
    code, answer = post(serving, f"{model}:predict", rows)
    assert code == 400
    assert answer["error"] == "Tensor name: total has no shape information "


def test_status_lists_the_versions_newest_first(serving, two_versions):
    available = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert get(serving, two_versions) == (
        200,
        {
            "model_version_status": [
                {"version": "2", **available},
                {"version": "1", **available},
            ]
        },
    )
    assert get(serving, f"{two_versions}/versions/1") == (
        200,
        {"model_version_status": [{"version": "1", **available}]},
    )


def test_metadata_tells_the_signature_as_tensorflow_serving_does(serving, sums):
    code, answer = get(serving, f"{sums}/metadata")
    assert code == 200
    assert answer["model_spec"] == {"name": sums, "signature_name": "", "version": "1"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "doubled"} <= signatures.keys()
    assert signatures["serving_default"]["method_name"] == "tensorflow/serving/predict"
    x = signatures["serving_default"]["inputs"]["x"]
    assert x["dtype"] == "DT_FLOAT"
    assert x["tensor_shape"] == {
        "dim": [{"size": "-1", "name": ""}, {"size": "3", "name": ""}],
        "unknown_rank": False,
    }


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", "nobody:predict", 404),
        ("POST", "{model}/versions/9:predict", 404),
        ("GET", "nobody", 404),
        ("GET", "{model}/versions/9", 404),
        ("GET", "nobody/metadata", 404),
        ("GET", "{model}:predict", 400),
        ("POST", "{model}:explain", 400),
        ("POST", "{model}/versions/one:predict", 400),
        ("POST", "{model}/versions/99999999999999999999:predict", 400),
        pytest.param("POST", f"{{model}}/versions/{'9' * 5000}:predict", 400, id="5000 digits"),
        pytest.param("GET", f"{{model}}/versions/{'9' * 5000}", 400, id="status of 5000 digits"),
        ("DELETE", "{model}", 400),
    ],
)
def test_what_is_not_there_and_what_is_not_meant_differ(serving, sums, method, path, code):
    url = f"{serving.server.rest_url}/v1/models/{path.format(model=sums)}"
    answer = httpx.request(method, url, content=b'{"instances": [[1, 2, 3]]}')
    assert answer.status_code == code
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "The document is empty"),
        (b"{", "JSON Parse error"),
        (b"\xff\xfe\x00", "JSON Parse error"),
        (b"[1]", "Is not object"),
        (b"[" * 100_000, "JSON Parse error"),
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": [[1, 2, 3]], "inputs": [[1, 2, 3]]}, "only one of"),
        ({"instances": []}, "No values"),
        ({"instances": {"x": 1}}, "list/array"),
        ({"instances": [[1, 2, 3], [1, 2]]}, "Expecting tensor size: 3 but got: 2"),
        ({"instances": [[1, 2, 3], 4]}, "Expecting tensor size: 3 but got: 1"),
        ({"inputs": [[1, 2, 3], [1, 2]]}, "unexpected size: 2 at level: 1 expected size: 3"),
        ({"inputs": [[1, 2, 3], 4]}, "incorrect level"),
        ({"instances": [[1, 2, [3]]]}, "unexpected level"),
        ({"instances": [[1, 2, "3"]]}, '"3" Type: String is not of expected type: float'),
        ({"instances": [[1, 2, None]]}, "null Type: Null is not of expected type"),
        ({"instances": [[1, 2, True]]}, "true Type: True is not of expected type"),
        ({"instances": [[1, 2, 16777217]]}, "without loss of precision"),
        ({"instances": [[1, 2, 1e39]]}, "without loss of precision"),
        ({"instances": [[1, 2, 3, 4]]}, "must have shape [-1, 3]"),
        ({"instances": [{"z": [1, 2, 3]}]}, "does not have named input: z"),
        ({"inputs": {"z": [[1, 2, 3]]}}, "Missing named input: x"),
        ({"signature_name": "nothing", "inputs": [[1, 2, 3]]}, '"nothing" not found'),
        ({"signature_name": 7, "inputs": [[1, 2, 3]]}, "must be a string"),
    ],
)
def test_bad_input_gets_its_reason_and_harms_nothing(serving, sums, body, words):
    code, answer = post(serving, f"{sums}:predict", body)
    assert code == 400
    assert words in answer["error"]
    assert post(serving, f"{sums}:predict", {"instances": [[1, 2, 3]]}) == (
        200,
        {"predictions": [6.0]},
    )


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("predict", rb'{"inputs": {"text": ["\ud800"], "count": [1], "flag": [true]}}'),
        ("predict", rb'{"instances": [{"text": "\udfff", "count": 1, "flag": true}]}'),
        ("classify", rb'{"examples": [{"x": "\ud800"}]}'),
        ("regress", rb'{"examples": [{"\ud800": 1.0}]}'),
    ],
)
def test_half_a_character_is_no_text(serving, model, path, body):
    serving.publish("kinds", model=model)
    code, answer = post(serving, f"{model}:{path}", body)
    assert code == 400
    assert "is no text: surrogates not allowed" in answer["error"]


def test_health_and_readiness_name_what_answers(serving, sums):
    assert httpx.get(f"{serving.server.rest_url}/health").json() == {"status": "serving"}
    ready = httpx.get(f"{serving.server.rest_url}/ready")
    assert ready.status_code == 200
    assert ready.json()["models"][sums] == [1]
