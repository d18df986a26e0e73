"""Pictures of training: what they show is what was measured."""

import math

import numpy as np
import pytest

import gradloom as gl
from gradloom.symbolic.pictures.draw import LIGHT

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def trained():
    rng = np.random.default_rng(0)
    x, y = rng.random((60, 35)), rng.integers(0, 3, 60)
    layers = [gl.layers.Dense(7, gl.tanh), gl.layers.Dense(5, gl.tanh), gl.layers.Dense(3)]
    net = gl.Sequential(layers, 35, loss=gl.losses.CrossEntropy(targets="labels"), name="trained")
    model, norms = gl.Model(net, target="numpy"), gl.GradientNorms(every=2)
    history = model.fit(x, y, epochs=5, batch=12, validation=0.2, callbacks=norms)
    return model, history, norms


def painted(drawing):
    from matplotlib.figure import Figure

    figure = Figure()
    drawing.paint(figure, LIGHT)
    return figure.axes


def test_curves_show_the_history(trained):
    _, history, _ = trained
    axes = painted(history.picture())
    assert [axis.get_ylabel() for axis in axes] == ["loss", "validation accuracy, %", "gradient norm"]
    loss, validation = axes[0].lines
    assert np.array_equal(loss.get_xdata(), history.epoch)
    assert np.array_equal(loss.get_ydata(), history.loss)
    assert np.array_equal(validation.get_ydata(), history.val_loss)
    assert np.allclose(axes[1].lines[0].get_ydata(), 100 * np.array(history.val_accuracy))
    finite = [value for value in history.gradient_norm if math.isfinite(value)]
    assert 0 < len(finite) < 5
    assert np.array_equal(axes[2].lines[0].get_ydata(), finite)
    svg = history.picture().svg()
    assert svg == history.picture().svg()
    assert "currentColor" in svg
    steep = gl.History({"epoch": [1, 2, 3], "loss": [1.0, 0.1, 0.01]})
    assert painted(steep.picture())[0].get_yscale() == "log"
    assert painted(steep.picture(log=False))[0].get_yscale() == "linear"


def test_norms_are_drawn_layer_by_layer(trained):
    _, _, norms = trained
    (axes,) = painted(norms.picture())
    assert [label.get_text() for label in axes.get_xticklabels()] == ["W1", "W2", "W3"]
    assert len(axes.lines) == len(norms.epochs)
    for place, line in enumerate(axes.lines):
        assert np.array_equal(line.get_ydata(), [norms.norms[name][place] for name in ("W1", "W2", "W3")])
    first, second = painted(gl.norms_by_layer({"one": norms, "two": norms}, epochs=2))
    assert (first.get_title(), second.get_title()) == ("one", "two")
    assert [line.get_label() for line in first.lines] == ["epoch 0", f"epoch {norms.epochs[-1]}"]


def test_weights_are_shown_as_images(trained):
    model, _, _ = trained
    axes, bar = painted(gl.weight_images(model, shape=(5, 7), columns=3))
    shown = axes.images[0].get_array()
    assert shown.shape == (3 * 6 + 1, 3 * 8 + 1)
    weights = model.params["W1"]
    assert np.allclose(shown[1:6, 9:16], weights[1].reshape(5, 7))  # the second neuron, right of the first
    assert np.allclose(shown[13:18, 1:8], weights[6].reshape(5, 7))  # the seventh begins the third row
    assert shown.mask[0].all()
    assert axes.images[0].get_clim() == pytest.approx((-np.abs(weights).max(), np.abs(weights).max()))
    assert bar.get_ylim() == pytest.approx(axes.images[0].get_clim())


def test_kernels_show_their_channels_side_by_side():
    kernels = np.random.default_rng(1).normal(size=(4, 3, 2, 5))
    shown = painted(gl.weight_images(kernels, "K", columns=1, most=3))[0].images[0].get_array()
    assert shown.shape == (3 * 3 + 1, 3 * 5 + 2)
    assert np.array_equal(shown[4:6, 6:11], kernels[1, 1])
    assert "1 more are not shown" in gl.weight_images(kernels, "K", most=3).alt


def test_what_cannot_be_drawn_is_refused(trained):
    model, _, _ = trained
    with pytest.raises(gl.DataError, match="no epochs"):
        gl.training_curves(gl.History())
    with pytest.raises(gl.DataError, match="no gradient norms"):
        gl.GradientNorms().picture()
    with pytest.raises(gl.ShapeError, match=r"35 weights are no image of 5 × 5"):
        gl.weight_images(model)
    with pytest.raises(gl.ShapeError, match="expected \\(neurons, inputs\\)"):
        gl.weight_images(model, "b1")
    with pytest.raises(gl.UndefinedError, match="no parameter 'W9'"):
        gl.weight_images(model, "W9")
    with pytest.raises(gl.DataError, match="no numbers"):
        gl.weight_images(np.full((2, 4), np.nan))
