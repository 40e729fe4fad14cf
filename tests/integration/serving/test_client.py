"""The client against the real server, and both sides against TensorFlow Serving's own stubs."""

import subprocess
import sys
import textwrap

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from smartgrid_core.errors import ContractError, ModelUnavailableError
from smartgrid_io.serving.client import ModelServerClient, VersionStatus

pytestmark = pytest.mark.xdist_group("model_server")

FEATURES = {
    "load_kw": np.array([1.0, 2.5], dtype=np.float32),
    "temperature_c": np.array([0.5, 0.0], dtype=np.float32),
}


def quantiles(*middle):
    return pl.DataFrame(
        {"p10": [m - 1.0 for m in middle], "p50": list(middle), "p90": [m + 1.0 for m in middle]}
    )


@pytest.fixture
def two_versions(serving, model):
    serving.publish("times_1", model=model, version=1)
    serving.publish("times_2", model=model, version=2)
    return model


def test_the_newest_version_answers_unless_one_is_named(serving, two_versions):
    newest = serving.client.predict(two_versions, FEATURES)
    assert_frame_equal(newest.frame, quantiles(2.5, 5.0))
    assert (newest.model, newest.model_version) == (two_versions, "2")

    named = serving.client.predict(two_versions, FEATURES, version="1")
    assert_frame_equal(named.frame, quantiles(1.5, 2.5))
    assert named.model_version == "1"


def test_rest_and_grpc_give_the_same_quantiles(serving, two_versions):
    over_rest = serving.client.predict_over_rest(two_versions, FEATURES)
    assert_frame_equal(over_rest.frame, serving.client.predict(two_versions, FEATURES).frame)
    assert over_rest.model_version == "2"
    assert serving.client.predict_over_rest(two_versions, FEATURES, version=1).model_version == "1"


def test_a_missing_value_reaches_the_model_as_nan(serving, two_versions):
    features = {"load_kw": pl.Series([None, 1.0]), "temperature_c": [0.0, 0.0]}
    for ask in (serving.client.predict, serving.client.predict_over_rest):
        frame = ask(two_versions, features).frame
        assert frame["p50"].is_nan().to_list() == [True, False]


@pytest.mark.parametrize("rows", [0, 1, 3000])
def test_every_batch_size_is_answered(serving, two_versions, rows):
    features = {"load_kw": np.arange(rows), "temperature_c": np.zeros(rows)}
    expected = quantiles(*(2.0 * np.arange(rows))) if rows else quantiles().cast(pl.Float64)
    for ask in (serving.client.predict, serving.client.predict_over_rest):
        assert_frame_equal(ask(two_versions, features).frame, expected)


def test_versions_and_inputs_are_told(serving, two_versions):
    assert serving.client.list_live_versions(two_versions) == ["2", "1"]
    assert serving.client.read_version_status(two_versions) == [
        VersionStatus("2", "AVAILABLE"),
        VersionStatus("1", "AVAILABLE"),
    ]
    assert serving.client.list_input_names(two_versions) == ["load_kw", "temperature_c"]


def test_an_unknown_model_or_version_is_unavailable_by_name(serving, two_versions):
    client = serving.client
    with pytest.raises(ModelUnavailableError, match=rf"nobody.*{client.grpc_target}"):
        client.predict("nobody", FEATURES)
    with pytest.raises(ModelUnavailableError, match=r"NOT_FOUND.*7"):
        client.predict(two_versions, FEATURES, version=7)
    with pytest.raises(ModelUnavailableError, match=rf"nobody.*{client.rest_url}"):
        client.predict_over_rest("nobody", FEATURES)
    assert client.list_live_versions("nobody") == []
    assert client.read_version_status("nobody") == []


def test_a_server_that_is_away_is_said_at_once():
    with ModelServerClient("127.0.0.1:9", "http://127.0.0.1:9", timeout=5) as client:
        with pytest.raises(ModelUnavailableError, match=r"load_forecaster.*127\.0\.0\.1:9"):
            client.predict("load_forecaster", FEATURES)
        with pytest.raises(ModelUnavailableError, match=r"load_forecaster.*http://127"):
            client.predict_over_rest("load_forecaster", FEATURES, version=1)
        with pytest.raises(ModelUnavailableError, match="load_forecaster"):
            client.list_input_names("load_forecaster")
        assert client.list_live_versions("load_forecaster") == []


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ({"load_kw": [1.0]}, r"Missing but required: \{temperature_c\}"),
        (
            {"load_kw": [1.0], "temperature_c": [1.0], "wind_ms": [1.0]},
            r"Sent extra: \{wind_ms\}",
        ),
        ({"load_kw": [1.0], "temperature_c": [1.0, 2.0]}, "temperature_c has 2 rows"),
        ({"load_kw": [[1.0]], "temperature_c": [1.0]}, "load_kw has shape"),
        ({"load_kw": ["much"], "temperature_c": [1.0]}, "load_kw is not numeric"),
        ({}, "no features"),
    ],
)
def test_features_that_do_not_fit_are_a_broken_contract(serving, two_versions, features, words):
    with pytest.raises(ContractError, match=words):
        serving.client.predict(two_versions, features)


def test_a_model_that_gives_no_quantiles_is_a_broken_contract(serving, model):
    serving.publish("slow_1", model=model)
    with pytest.raises(ContractError):
        serving.client.predict(model, {"steps": [1.0]})


def test_a_call_that_takes_too_long_is_given_up(serving, two_versions):
    server = serving.server
    with (
        ModelServerClient(server.grpc_target, server.rest_url, timeout=1e-6) as client,
        pytest.raises(ModelUnavailableError, match="DEADLINE_EXCEEDED"),
    ):
        client.predict(two_versions, FEATURES)


def run(script):
    """Run a script in a fresh process; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_client_predicts_without_tensorflow(serving, two_versions):
    said = run(f"""
        import sys
        from smartgrid_io.serving import client, publisher
        server = client.ModelServerClient({serving.server.grpc_target!r}, "http://127.0.0.1:9")
        said = server.predict({two_versions!r}, {{"load_kw": [1.0], "temperature_c": [0.5]}})
        heavy = [name for name in sys.modules if name.startswith("tensorflow")]
        print(said.frame.rows(), said.model_version, heavy)
    """)
    assert said == "[(1.5, 2.5, 3.5)] 2 []\n"


STUBS = """
    import grpc, numpy as np, tensorflow as tf
    from tensorflow_serving.apis import (
        get_model_metadata_pb2, get_model_status_pb2, model_service_pb2_grpc, predict_pb2,
        prediction_service_pb2_grpc,
    )
    channel = grpc.insecure_channel("{target}")
    prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    models = model_service_pb2_grpc.ModelServiceStub(channel)

    def request(**inputs):
        made = predict_pb2.PredictRequest()
        made.model_spec.name = "{model}"
        for name, value in inputs.items():
            made.inputs[name].CopyFrom(value)
        return made

    def refused(made):
        try:
            prediction.Predict(made, timeout=20)
        except grpc.RpcError as error:
            return error.code().name, error.details()
        raise AssertionError("was not refused")

    f32 = lambda *values: tf.make_tensor_proto(np.array(values, dtype=np.float32))

    good = request(load_kw=f32(1.0, 2.5), temperature_c=f32(0.5, 0.0))
    answer = prediction.Predict(good, timeout=20)
    assert tf.make_ndarray(answer.outputs["p50"]).tolist() == [2.5, 5.0]
    assert sorted(answer.outputs) == ["p10", "p50", "p90"]
    assert answer.model_spec.version.value == 2
    assert answer.model_spec.signature_name == "serving_default"

    good.model_spec.version.value = 1
    good.output_filter.append("p90")
    answer = prediction.Predict(good, timeout=20)
    assert sorted(answer.outputs) == ["p90"]
    assert tf.make_ndarray(answer.outputs["p90"]).tolist() == [2.5, 3.5]
    assert answer.model_spec.version.value == 1

    good.model_spec.version.value = 9
    assert refused(good)[0] == "NOT_FOUND"
    good.model_spec.version.value = 1
    good.output_filter.append("p99")
    assert refused(good) == (
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: p99 "
        "Outputs expected to be in the set {{p10,p50,p90}}.",
    )
    bad = "INVALID_ARGUMENT"
    wide = tf.make_tensor_proto(np.array([1.0, 2.0], dtype=np.float64))
    assert refused(request(load_kw=wide, temperature_c=f32(0.0, 0.0))) == (
        "INVALID_ARGUMENT", "input load_kw must be DT_FLOAT, got float64"
    )
    ragged = request(load_kw=f32(1.0, 2.0, 3.0), temperature_c=f32(0.0, 0.0))
    assert refused(ragged)[0] == bad
    short = f32(1.0, 2.0)
    short.tensor_content = short.tensor_content[:-1]
    assert refused(request(load_kw=short, temperature_c=f32(0.0, 0.0)))[0] == bad
    bomb = f32(1.0)
    bomb.tensor_shape.dim[0].size = 2**50
    assert refused(request(load_kw=bomb, temperature_c=bomb))[0] == bad
    bomb.tensor_shape.dim[0].size = -5
    assert refused(request(load_kw=bomb, temperature_c=bomb))[0] == bad

    asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    asked.model_spec.name = "{model}"
    told = prediction.GetModelMetadata(asked, timeout=20)
    assert told.model_spec.version.value == 2
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert told.metadata["signature_def"].Unpack(signatures)
    inputs = signatures.signature_def["serving_default"].inputs
    assert sorted(inputs) == ["load_kw", "temperature_c"]

    states = get_model_status_pb2.GetModelStatusRequest()
    states.model_spec.name = "{model}"
    lines = models.GetModelStatus(states, timeout=20).model_version_status
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert [(line.version, line.state) for line in lines] == [(2, available), (1, available)]
"""


@pytest.mark.slow
def test_tensorflow_servings_own_stubs_are_answered(serving, two_versions):
    run(textwrap.dedent(STUBS).format(target=serving.server.grpc_target, model=two_versions))


@pytest.mark.slow
@pytest.mark.parametrize("first", ["tensorflow", "client"])
def test_the_client_lives_beside_tensorflows_own_messages(serving, two_versions, first):
    imports = [
        "from tensorflow_serving.apis import predict_pb2",
        "from smartgrid_io.serving import client",
    ]
    order = imports if first == "tensorflow" else imports[::-1]
    said = run(
        "\n".join(order)
        + textwrap.dedent(f"""
        server = client.ModelServerClient({serving.server.grpc_target!r}, "http://127.0.0.1:9")
        features = {{"load_kw": [1.0], "temperature_c": [0.5]}}
        print(server.predict({two_versions!r}, features).frame.rows())
        _, inputs = client._to_columns("m", features)
        mine = client.wire.build_predict_request("m", inputs, version=3)
        theirs = predict_pb2.PredictRequest.FromString(mine.SerializeToString())
        spec = theirs.model_spec
        print(spec.name, spec.version.value, theirs.inputs["load_kw"].dtype)
        """)
    )
    assert said == "[(1.5, 2.5, 3.5)]\nm 3 1\n"


def test_a_client_of_another_maker_is_answered(serving, two_versions):
    ovmsclient = pytest.importorskip("ovmsclient")
    other = ovmsclient.make_grpc_client(serving.server.grpc_target)
    answer = other.predict(inputs=FEATURES, model_name=two_versions, model_version=2)
    assert {name: values.tolist() for name, values in answer.items()} == {
        "p10": [1.5, 4.0],
        "p50": [2.5, 5.0],
        "p90": [3.5, 6.0],
    }
    status = other.get_model_status(two_versions, model_version=2)
    assert {version: line["state"] for version, line in status.items()} == {2: "AVAILABLE"}
