"""What is wrong is said in the letters that were written, and named: reads of a recurrence, positions, sizes."""

import pytest

import gradloom as gl
from gradloom import layers as L

B, T, n = gl.dims("B T n")
b, t, i, u, p = gl.indices("b t i u p")


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda h: gl.padded(h[b, 2 * t - 1]), r"h\[b, 2\*t - 1\] .*no fixed shift along one axis"),
        (lambda h: gl.padded(h[b, t // 2 - 1]), r"h\[b, floor\(t/2\) - 1\] .*no fixed shift along one axis"),
        (lambda h: gl.Sum(gl.padded(h[b, t - 1 - u]), (u, 3)), r"h\[b, t - u - 1\] .*no fixed shift along one axis"),
        (lambda h: h[b, t], "each needs the other at the same place"),
        (lambda h: h[b, t] * gl.padded(h[b, t - 1]), "each needs the other at the same place"),
    ],
)
def test_what_no_recurrence_can_read(read, words):
    net = gl.Network("r")
    x, h = net.input("x", (B, T)), net.sequence("h", (B, T))
    with pytest.raises(gl.RecurrenceError, match=words):
        net.define("h", (b, t), x[b, t] + read(h))


def test_a_recurrence_along_two_axes():
    net = gl.Network("r")
    x, h = net.input("x", (B, T, n)), net.sequence("h", (B, T, n))
    words = r"h: h\[b, t, i - 1\] is read at a shift along i, and h\[b, t - 1, i\] along t; .* along one axis"
    with pytest.raises(gl.RecurrenceError, match=words):
        net.define("h", (b, t, i), x[b, t, i] + gl.padded(h[b, t - 1, i]) + gl.padded(h[b, t, i - 1]))


def test_a_position_under_a_sum_is_written_with_letters():
    net = gl.Network("r")
    x = net.input("x", (B, T))
    with pytest.raises(gl.IndexingError, match=r"index u\*v in x\[b, u\*v\] is not read") as found:
        net.define("a", (b,), gl.Sum(x[b, u * p], (u, 2), (p, 3)))
    assert "Dummy" not in str(found.value)
    with pytest.raises(gl.IndexingError, match=r"x\[b, u \+ 1\] leaves axis 1 .*: u \+ 1 runs from 1 to T"):
        net.define("a", (b,), gl.Sum(x[b, p + 1], (p, T)))


def test_none_is_no_size():
    with pytest.raises(gl.ShapeError, match=r"axis 1 of x: .*found None; a batch takes B = gl.dims\('B'\)"):
        gl.Network("r").input("x", (B, None))


@pytest.mark.parametrize(("layer", "size"), [(L.Conv2D(2, 3), r"H - 2"), (L.MaxPool2D(2), r"floor\(H/2\)")])
def test_flatten_says_which_sizes_need_numbers(layer, size):
    C, H, W = gl.dims("C H W")
    with pytest.raises(gl.ShapeError, match=rf"Flatten, layer 2: .* has an axis of size {size}.* give numbers"):
        gl.Sequential([layer, L.Flatten(), L.Dense(3)], (C, H, W))
    assert gl.Sequential([layer, L.Flatten(), L.Dense(3)], (C, 5, 7)).output.shape[1] == 3
    # The first axis is not divided by: it may be an expression.
    made = gl.Sequential([L.Permute(2, 1), L.Conv1D(2, 3), L.Permute(2, 1), L.Flatten()], (H, C)).output
    assert str(made.shape[1]) == "2*H - 4"
