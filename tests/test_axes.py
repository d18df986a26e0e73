"""Numbers for sizes that leave an axis empty, or a fixed place off its axis, are refused wherever sizes get numbers."""

import numpy as np
import pytest

import gradloom as gl
from gradloom import layers as L
from gradloom.symbolic.evaluate import evaluate

C, H, W = gl.dims("C H W")
SE = gl.losses.SquaredError()


def convolution(*behind: L.Layer) -> gl.Sequential:
    return gl.Sequential([L.Conv1D(4, 5), *behind], (C, H), loss=SE)


@pytest.mark.parametrize("target", ["cpu", "numpy"])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_an_input_smaller_than_the_kernel_is_refused(target: str, number: int):
    message = rf"z1 \(B, 4, H - 4\) \(Conv1D, layer 1\): axis 2, H - 4, is {number - 4} at H = {number}.*at least 5"
    with pytest.raises(gl.SizeError, match=message):
        convolution().compile(target=target, sizes={"C": 2, "H": number})
    with pytest.raises(gl.SizeError, match=r"z1 .* H = 3"):
        convolution(L.GlobalAveragePool()).compile(target=target, sizes={"C": 2, "H": 3})


def test_the_smallest_input_gives_one_window():
    program = convolution().compile(target="numpy", dtype="float64", sizes={"C": 2, "H": 5})
    rng = np.random.default_rng(0)
    w, x, y = rng.normal(size=(4, 2, 5)), rng.normal(size=(3, 2, 5)), rng.normal(size=(3, 4, 1))
    out = program.predict({"W1": w, "b1": np.zeros(4)}, x)
    np.testing.assert_allclose(out[:, :, 0], np.einsum("ocu,icu->io", w, x))
    assert program.loss_and_gradients({"W1": w, "b1": np.zeros(4)}, x, y)[0] > 0


def test_a_pooling_window_larger_than_the_axis():
    net = gl.Sequential([L.MaxPool1D(5)], (C, H), loss=SE)
    with pytest.raises(gl.SizeError, match=r"MaxPool1D, layer 1\): axis 2, .* H = 3.*H must be at least 5"):
        net.compile(target="numpy", sizes={"C": 2, "H": 3}, wrt=["x"])


def test_the_first_empty_axis_is_named_where_the_second_would_be_empty_too():
    net = gl.Sequential([L.Conv2D(2, 3), L.MaxPool2D(2), L.Conv2D(3, 3)], (C, H, W), loss=SE)
    with pytest.raises(gl.SizeError, match=r"MaxPool2D, layer 2\): axis 3, .*at W = 3.*W must be at least 4"):
        net.compile(target="numpy", sizes={"C": 1, "H": 9, "W": 3})


def test_a_model_reads_the_size_off_the_data():
    rng = np.random.default_rng(0)
    with pytest.raises(gl.SizeError, match=r"z1 .* at H = 3.*at least 5"):
        gl.Model(convolution(), target="numpy").fit(rng.normal(size=(7, 2, 3)), rng.normal(size=(7, 4, 1)), epochs=1)
    pooled = convolution(L.GlobalAveragePool())
    with pytest.raises(gl.SizeError, match=r"z1 .* at H = 3.*at least 5"):
        gl.Model(pooled, target="numpy").fit(rng.normal(size=(7, 2, 3)), rng.normal(size=(7, 4)), epochs=1)


def test_the_reference_interpreter():
    net = convolution()
    x, w = np.ones((2, 1, 3)), np.ones((4, 1, 5))
    with pytest.raises(gl.SizeError, match=r"z1 .* is -1 at H = 3"):
        evaluate(net.equations[:1], {"x": x, "W1": w, "b1": np.zeros(4)})


def test_gradcheck_takes_sizes_that_fit_by_itself_and_refuses_others():
    assert gl.gradcheck(convolution(), target="numpy", entries=3).ok
    with pytest.raises(gl.SizeError, match=r"z1 .* H = 3"):
        gl.gradcheck(convolution(), target="numpy", sizes={"H": 3})


def test_an_axis_made_of_the_batch_size():
    B = gl.dims("B")
    i = gl.indices("i")
    net = gl.Network("differences")
    x, w = net.input("x", (B,)), net.parameter("w")
    d = net.define("d", i, w * (gl.padded(x[i + 1]) - x[i] * gl.inside(i, B - 1)), shape=(B - 1,))
    net.minimize(gl.Sum(d[i] ** 2, i))
    program = net.compile(target="numpy", dtype="float64")
    assert program.loss({"w": 2.0}, np.array([1.0, 4.0, 6.0])) == 4 * (9 + 4)
    with pytest.raises(gl.SizeError, match=r"d \(B - 1,\): axis 0, B - 1, is 0 at B = 1.*B must be at least 2"):
        program.loss({"w": 2.0}, np.array([1.0]))


def test_a_fixed_place_beyond_the_axis():
    B, n = gl.dims("B n")
    i = gl.indices("i")
    net = gl.Network("places")
    x, w = net.input("x", (B, n)), net.parameter("w")
    a = net.define("a", i, w * x[i, 3])
    net.minimize(gl.Sum(a[i] ** 2, i))
    with pytest.raises(
        gl.SizeError, match=r"a reads x\[i, 3\], but axis 1 of x, n, is 3 at n = 3; n must be at least 4"
    ):
        net.compile(target="numpy", sizes={"n": 3})
    assert net.compile(target="numpy", sizes={"n": 4}).loss({"w": 1.0}, [[0, 0, 0, 2.0]]) == 4


def test_a_fixed_place_behind_a_guard_may_lie_beyond():
    B, n = gl.dims("B n")
    i = gl.indices("i")
    net = gl.Network("guarded")
    x, w = net.input("x", (B, n)), net.parameter("w")
    a = net.define("a", i, w * (x[i, 0] + gl.inside(3, n) * x[i, 3]))
    net.minimize(gl.Sum(a[i] ** 2, i))
    assert net.compile(target="numpy", sizes={"n": 3}).loss({"w": 1.0}, [[2.0, 5, 5]]) == 4
