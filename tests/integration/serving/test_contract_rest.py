"""TensorFlow Serving's contract over REST, asked of ours or of the real one."""

import gzip
import json
import math

import httpx
import pytest

from tests.integration.serving.contract import REGRESS, ours_only

pytestmark = pytest.mark.xdist_group("model_server")


def test_the_documented_predict_gives_the_documented_answer(contract):
    body = '{"instances": [1.0,2.0,5.0]}'
    assert contract.said("half_plus_three:predict", body) == {"predictions": [3.5, 4.0, 5.5]}


def test_the_documented_regress_gives_the_documented_answer(contract):
    body = '{"signature_name": "tensorflow/serving/regress", "examples": [{"x": 1.0}, {"x": 2.0}]}'
    assert contract.said("half_plus_three:regress", body) == {"results": [3.5, 4.0]}


def test_the_documented_mistake_gives_the_documented_error(contract):
    assert contract.refused("half:predict", '{"instances": [1.0,5.0]}') == (
        404,
        "Servable not found for request: Latest(half)",
    )


def test_the_documented_rows_and_columns_say_the_same(contract):
    rows = [
        {"tag": "foo", "signal": [1, 2, 3, 4, 5], "sensor": [[1, 2], [3, 4]]},
        {"tag": "bar", "signal": [3, 4, 1, 2, 5], "sensor": [[4, 5], [6, 8]]},
    ]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    assert contract.said("rows:predict", json.dumps({"instances": rows})) == {"predictions": rows}
    assert contract.said("rows:predict", json.dumps({"inputs": columns})) == {"outputs": columns}


def test_metadata_has_the_documented_form(contract):
    answer = contract.get("/v1/models/half_plus_two/metadata")
    assert answer.status_code == 200
    said = answer.json()
    assert said["model_spec"] == {
        "name": "half_plus_two",
        "signature_name": "",
        "version": "123",
    }
    signatures = said["metadata"]["signature_def"]["signature_def"]
    assert signatures["tensorflow/serving/regress"]["method_name"] == REGRESS
    assert signatures["serving_default"]["inputs"]["x"] == {
        "name": "x:0",
        "dtype": "DT_FLOAT",
        "tensor_shape": {
            "dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}],
            "unknown_rank": False,
        },
    }


def test_classes_are_pairs_of_label_and_score_by_example(contract):
    body = '{"signature_name": "classify_x_to_y", "examples": [{"x": [1.0]}, {"x": 2.5}]}'
    assert contract.said("half_plus_two:classify", body) == {
        "results": [[["half", 2.5]], [["half", 3.25]]]
    }
    body = '{"signature_name": "scores_of_x", "examples": [{"x": 0.2}]}'
    assert contract.said("half_plus_two:classify", body) == {"results": [[["", 2.1]]]}


def test_the_context_s_features_belong_to_every_example(contract):
    body = '{"signature_name": "tensorflow/serving/regress", "context": {"x": 4.0}, "examples": [{"other": 1}, {"b": "text"}]}'  # noqa: E501
    assert contract.said("half_plus_two:regress", body) == {"results": [4.0, 4.0]}


@pytest.mark.parametrize(
    ("path", "body", "code", "words"),
    [
        ("{m}:regress", '{"examples": []}', 400, "'examples' value is an empty array"),
        ("{m}:regress", '{"examples": 1}', 400, "'examples' value to be an list/array"),
        ("{m}:classify", "{}", 400, "key 'examples' is expected and was not found"),
        (
            "{m}:regress",
            '{"examples": [1]}',
            400,
            "Example must be JSON object but got JSON Number",
        ),
        ("{m}:regress", '{"examples": [{"x": null}]}', 400, "unexpected JSON type: Null"),
        ("{m}:regress", '{"examples": [{"x": [[1]]}]}', 400, "unexpected JSON type: Array"),
        ("{m}:regress", '{"examples": [{"x": {"b": 1}}]}', 400, "unexpected JSON type: Object"),
        ("{m}:regress", '{"examples": [{"x": [1, 1.5]}]}', 400, "feature: x expecting type: int64"),
        ("{m}:regress", '{"examples": [{"x": [1.5, "a"]}]}', 400, "x expecting type: float"),
        ("{m}:regress", '{"examples": [{"x": ["a", true]}]}', 400, "x expecting type: bytes"),
        ("{m}:regress", '{"examples": [{"x": 18446744073709551615}]}', 400, "uint64 element"),
        ("{m}:regress", '{"examples": [{"x": 1e300}]}', 400, "without loss of precision"),
        ("{m}:regress", '{"examples": [{"x": 1.5}]}', 400, "signature method_name to be"),
        (
            "{m}:classify",
            '{"signature_name": "none", "examples": [{"x": 1.5}]}',
            400,
            "No signature was found with the name: none",
        ),
        # A whole number makes a list of int64, which this model does not take.
        (
            "{m}:regress",
            '{"signature_name": "tensorflow/serving/regress", "examples": [{"x": 1}]}',
            400,
            "x",
        ),
        ("{m}:predict", "[]", 400, "JSON Value: [] Is not object"),
        ("{m}:predict", "", 400, "JSON Parse error: The document is empty"),
        ("{m}:predict", '{"instances": [1.0', 400, "JSON Parse error: "),
        ("{m}:predict", "{}", 400, "Missing 'inputs' or 'instances' key"),
        ("nobody:predict", "{}", 404, "Servable not found for request: Latest(nobody)"),
        ("{m}/versions/7:predict", "{}", 404, "Servable not found for request: Specific({m}, 7)"),
        ("{m}/labels/none:predict", "{}", 400, "Unrecognized servable version label: none"),
        ("{m}/versions/9999999999999999999:predict", "{}", 400, "Failed to convert version: "),
        ("{m}:explain", "{}", 400, "Malformed request: POST /v1/models/{m}:explain"),
        ("{m}", "{}", 400, "Malformed request: POST /v1/models/{m}"),
        (
            "{m}:predict",
            '{"signature_name": "none", "instances": [1.0]}',
            400,
            'Serving signature name: "none" not found in signature def',
        ),
        (
            "{m}:predict",
            '{"signature_name": 1, "instances": [1.0]}',
            400,
            "'signature_name' key must be a string value.",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused_in_the_real_server_s_words(
    contract, path, body, code, words
):
    model = "half_plus_two"
    found, text = contract.refused(path.replace("{m}", model), body)
    assert found == code
    assert words.replace("{m}", model) in text


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/v1/models/nobody", 404, "Could not find any versions of model nobody"),
        ("/v1/models/times/versions/7", 404, "Could not find version 7 of model times"),
        ("/v1/models/nobody/metadata", 404, "Servable not found for request: Latest(nobody)"),
        ("/v1/models", 400, "Missing model name in request."),
        ("/v1/models/times/labels/none/metadata", 400, "Unrecognized servable version label: none"),
        ("/v1/models/times:predict", 400, "Malformed request: GET /v1/models/times:predict"),
    ],
)
def test_what_cannot_be_told_is_refused_in_the_real_server_s_words(contract, path, code, words):
    answer = contract.get(path)
    assert (answer.status_code, answer.json()) == (code, {"error": words})


def test_bytes_and_special_numbers_go_in_and_come_out(contract):
    body = '{"inputs": {"text": [{"b64": "/w=="}, "a"], "count": [1, -1], "flag": [true, false]}}'
    request = json.loads(body)
    request["inputs"]["text"][0] = "kWh"
    said = contract.said("kinds:predict", json.dumps(request))["outputs"]
    assert said["raw_bytes"] == [{"b64": "a1do"}, {"b64": "YQ=="}]
    assert said["said"] == ["kWh!", "a!"]
    special = contract.said("sums:predict", '{"instances": [[NaN, 0, 0], [-Infinity, 0, 0]]}')
    assert math.isnan(special["predictions"][0])
    assert special["predictions"][1] == -math.inf


def test_a_compressed_request_is_read_and_the_connection_is_kept(contract):
    body = gzip.compress(b'{"instances": [1.0]}')
    with httpx.Client(timeout=30) as client:
        for _ in range(3):
            answer = client.post(
                f"{contract.rest_url}/v1/models/half_plus_two:predict",
                content=body,
                headers={"Content-Encoding": "gzip"},
            )
            assert answer.json() == {"predictions": [2.5]}
            assert answer.headers.get("connection", "keep-alive").lower() == "keep-alive"


def test_other_origins_are_told_nothing(contract):
    answer = contract.get("/v1/models/times", Origin="http://elsewhere.example")
    assert not [name for name in answer.headers if name.startswith("access-control")]


@ours_only
def test_a_large_answer_is_compressed_for_who_takes_it(contract):
    rows = json.dumps({"instances": [[0.1, 0.2, 0.3]] * 4000})
    answer = contract.post("sums:predict", rows, **{"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.json()["predictions"]) == 4000
    plain = contract.post("sums:predict", rows, **{"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.json() == answer.json()
