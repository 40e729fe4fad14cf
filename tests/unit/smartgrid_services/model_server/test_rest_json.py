"""TensorFlow Serving's JSON, both ways; the refusals are tested against the running server."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from smartgrid_services.model_server.rest.inputs import find_predict_input, read_inputs
from smartgrid_services.model_server.rest.outputs import write_outputs
from smartgrid_services.model_server.rest.values import decode_base64, parse_object
from smartgrid_services.model_server.servables.signatures import Signature, TensorSpec
from smartgrid_services.model_server.status import Code, ServingError

DTYPES = {
    "DT_FLOAT": np.float32,
    "DT_DOUBLE": np.float64,
    "DT_INT64": np.int64,
    "DT_UINT8": np.uint8,
    "DT_BOOL": np.bool_,
}
ARRAYS = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda name: st.tuples(
        st.just(name),
        hnp.arrays(DTYPES[name], hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)),
    )
)


def signature(**dtypes):
    specs = {name: TensorSpec(d, np.dtype(DTYPES[d]), None) for name, d in dtypes.items()}
    return Signature("serving_default", inputs=specs, outputs={})


def read(body, expected):
    return read_inputs(find_predict_input(parse_object(body)), expected)


@given(ARRAYS, st.sampled_from(["column", "row"]))
def test_what_is_written_is_read_back_to_the_last_bit(array, layout):
    dtype, values = array
    written = json.loads(write_outputs({"a": values, "b": values}, layout=layout))
    key, said = next(iter(written.items()))
    assert key == {"column": "outputs", "row": "predictions"}[layout]
    body = json.dumps({{"column": "inputs", "row": "instances"}[layout]: said}).encode()
    if dtype in {"DT_FLOAT", "DT_DOUBLE"}:
        # A whole number of a float is written as 2.0 and read as a float, however large.
        assert not any(type(leaf) is int for leaf in _leaves(said))
    arrays = read(body, signature(a=dtype, b=dtype))
    for name in ("a", "b"):
        assert arrays[name].dtype == values.dtype
        np.testing.assert_array_equal(arrays[name], values)


def arrays_or_code(body, expected):
    try:
        return read(body, expected)
    except ServingError as error:
        return error.code


def _leaves(value):
    if isinstance(value, dict):
        value = list(value.values())
    return (
        [leaf for item in value for leaf in _leaves(item)] if isinstance(value, list) else [value]
    )


def test_a_float32_is_written_with_its_own_digits_only():
    values = np.array([0.1, 16777216.0, np.nan, -np.inf], dtype=np.float32)
    assert write_outputs({"y": values}, layout="column") == (
        b'{"outputs": [0.1, 16777216.0, NaN, -Infinity]}'
    )


def test_whole_numbers_that_do_not_fit_are_refused():
    with pytest.raises(ServingError, match="does not fit into uint8"):
        read(b'{"inputs": [1, 256]}', signature(x="DT_UINT8"))


def test_lists_nested_without_end_are_refused():
    body = b'{"inputs": ' + b"[" * 200 + b"1" + b"]" * 200 + b"}"
    with pytest.raises(ServingError, match="nested 200 deep"):
        read(body, signature(x="DT_FLOAT"))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            '[{"x": 1.5}, {"x": "a"}]',
            "element: 1 key: x of 'instances' list. Error: INVALID_ARGUMENT: "
            'JSON Value: "a" Type: String is not of expected type: float',
        ),
        (
            "[[1.5, 2.5], [1.5]]",
            "element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
            "Expecting tensor size: 2 but got: 1",
        ),
        (
            "[[[1], [2]], [[1, 2]]]",
            "element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
            "Expecting shape [2,1] but got: [1,2]",
        ),
        ("[[1, [2]]]", "Encountered list at unexpected level: 1 expected < 1"),
        ("[[[2], 1]]", "JSON Value: 1 found at incorrect level: 2 in the JSON DOM. Expected at"),
        ('[{"x": 1.5}, 2]', "Expecting object but got list at item 1 of input list"),
        ('[1, {"x": 1.5}]', "Expecting value/list but got object at item 1 of input list"),
        (
            '[{"x": 1, "y": 2}]',
            "key: y of 'instances' list. Error: INVALID_ARGUMENT: "
            "JSON object: does not have named input: y",
        ),
        ("[{}]", "JSON object: {} must only have keys: x"),
    ],
)
def test_the_row_to_blame_is_named(rows, words):
    with pytest.raises(ServingError) as refusal:
        read(f'{{"instances": {rows}}}'.encode(), signature(x="DT_FLOAT"))
    assert words in refusal.value.message


@pytest.mark.parametrize("text", ["aGk=", "aGk", " aG k=\n"])
def test_base64_is_read_with_and_without_padding(text):
    assert decode_base64({"b64": text}) == b"hi"


def test_what_is_no_base64_is_refused():
    with pytest.raises(ServingError, match="Unable to base64 decode"):
        decode_base64({"b64": "a"})
    with pytest.raises(ServingError, match="not formatted correctly for base64 data"):
        decode_base64({"b64": 1})


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused_as_invalid(body):
    arrays = arrays_or_code(body, signature(x="DT_FLOAT"))
    assert arrays is Code.INVALID_ARGUMENT or arrays["x"].dtype == np.float32


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["x", "y", "b64"]), inner)
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from(["inputs", "instances"]), st.sampled_from(sorted(DTYPES)))
def test_any_json_is_read_or_refused_as_invalid(value, key, dtype):
    body = json.dumps({key: value}).encode()
    for expected in (signature(x=dtype), signature(x=dtype, y=dtype)):
        arrays = arrays_or_code(body, expected)
        if arrays is not Code.INVALID_ARGUMENT:
            assert {name: array.dtype for name, array in arrays.items()} == dict.fromkeys(
                expected.inputs, np.dtype(DTYPES[dtype])
            )
