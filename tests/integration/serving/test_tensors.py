"""TensorProto and NumPy, by the rules of TensorFlow's own reader."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tensorflow.core.framework import tensor_pb2

from smartgrid_services.model_server.servables.signatures import Signature, TensorSpec
from smartgrid_services.model_server.servables.tensors import read_inputs, read_tensor, write_tensor
from smartgrid_services.model_server.status import Code, ServingError

DTYPES = [
    *(np.float16, np.float32, np.float64, np.complex64, np.complex128, np.bool_),
    *(np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64),
]
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


def proto(dtype, *sizes, **values):
    tensor = tensor_pb2.TensorProto(dtype=dtype, **values)
    for size in sizes:
        tensor.tensor_shape.dim.add(size=size)
    return tensor


@given(st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, SHAPES)))
def test_an_array_comes_back_to_the_last_bit(array):
    tensor = tensor_pb2.TensorProto()
    write_tensor(array, tensor)
    assert not tensor.tensor_content
    back = read_tensor("x", tensor)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)


def test_strings_come_back_as_bytes():
    tensor = tensor_pb2.TensorProto()
    write_tensor(np.array([[b"\xff", "kWh"]], dtype=object), tensor)
    assert read_tensor("x", tensor).tolist() == [[b"\xff", b"kWh"]]


def test_floats_stand_where_clients_look_for_them():
    tensor = tensor_pb2.TensorProto()
    write_tensor(np.array([1.5, 2.5], dtype=np.float32), tensor)
    assert list(tensor.float_val) == [1.5, 2.5]


def test_raw_content_is_read():
    content = np.array([1, 2], dtype=np.int64).tobytes()
    assert read_tensor("x", proto(9, 2, tensor_content=content)).tolist() == [1, 2]


def test_the_last_value_fills_what_is_missing():
    assert read_tensor("x", proto(1, 3, float_val=[1.5, 2.5])).tolist() == [1.5, 2.5, 2.5]
    assert read_tensor("x", proto(3, 2)).tolist() == [0, 0]
    assert read_tensor("x", proto(7, 2)).tolist() == [b"", b""]
    assert read_tensor("x", proto(7, 2, string_val=[b"a\0"])).tolist() == [b"a\0", b"a\0"]


@pytest.mark.parametrize(
    "tensor",
    [
        proto(1, -1),
        proto(1, 2**20, 2**20),
        proto(1, 2**30, float_val=[1]),
        proto(7, 2**30),
        proto(1, *[1] * 65, float_val=[1]),
        proto(1, 2**62, 2**62, 0),
        proto(1, 1, float_val=[1, 2]),
        proto(1, 2, tensor_content=b"123"),
        proto(7, 1, tensor_content=b"a"),
        proto(20, 1),
        proto(0, 1),
        tensor_pb2.TensorProto(dtype=1, tensor_shape={"unknown_rank": True}),
    ],
)
def test_a_tensor_that_is_not_whole_is_refused_by_its_name(tensor):
    with pytest.raises(ServingError, match="tensor parsing error: x: ") as refusal:
        read_tensor("x", tensor)
    assert refusal.value.code is Code.INVALID_ARGUMENT


FLOAT = TensorSpec("DT_FLOAT", np.dtype(np.float32), (-1,))
PAIR = Signature("serving_default", {"x": FLOAT, "y": FLOAT}, {"z": FLOAT})


def test_what_is_filled_up_is_bounded_over_all_inputs_of_a_request():
    sent = {"x": proto(1, 1000, float_val=[1]), "y": proto(1, 1000, float_val=[2])}
    assert {name: array.sum() for name, array in read_inputs(sent, PAIR).items()} == {
        "x": 1000.0,
        "y": 2000.0,
    }
    with pytest.raises(ServingError, match=r"y: the shape .* is too large to be filled up from 1"):
        read_inputs(sent, PAIR, largest_filled=6000)


def test_values_that_were_sent_are_never_too_many():
    tensor = tensor_pb2.TensorProto()
    write_tensor(np.ones(1000, dtype=np.float32), tensor)
    assert read_inputs({"x": tensor, "y": tensor}, PAIR, largest_filled=0)["y"].sum() == 1000.0


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"x": proto(1, 10**7)}, "input size does not match signature: 1!=2"),
        ({"x": proto(1, 10**7), "v": proto(1, 10**7)}, "alias not found in signature: v"),
        ({"x": proto(2, 10**7), "y": proto(1, 10**7)}, "input x must be DT_FLOAT, got float64"),
        ({"x": proto(1, 10**7, 1), "y": proto(1, 1)}, "input x must have shape"),
    ],
)
def test_inputs_that_the_signature_does_not_take_are_refused_before_they_are_filled(sent, words):
    with pytest.raises(ServingError, match=words):
        read_inputs(sent, PAIR, largest_filled=0)
