"""Pictures of training: curves, norms of gradients, and weights as images. They are drawn with matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..symbolic.errors import DataError, ShapeError, UndefinedError
from ..symbolic.pictures.draw import Drawing, Palette

if TYPE_CHECKING:
    from .gradient_norms import GradientNorms
    from .history import History
    from .model import Model

Array = NDArray[Any]
_LINES = ("input", "target", "parameter", "value", "loss", "state")  # whose colours lines take, in order


def training_curves(history: History, *, name: str = "training", log: bool = True) -> Drawing:
    """Losses, metrics and norms of gradients by epoch, each kind in a field of its own.

    Parameters
    ----------
    name : of the picture
    log : whether what is not an accuracy is drawn on a logarithmic axis, where it is above 0 and spans a factor of five

    Raises
    ------
    DataError
        If there are no epochs.
    """
    if not isinstance(history, Mapping):
        raise DataError(f"history is {history!r}; expected a History, as fit returns it")
    columns = {key: values for key, values in history.items() if key != "epoch"}
    epochs = history.get("epoch", [])
    if not epochs:
        raise DataError("the history has no epochs, so there is nothing to draw: fit the model first")
    fields: dict[str, dict[str, list[float]]] = {}
    for key, values in columns.items():
        kind = key.removeprefix("val_")
        label = "validation" if key.startswith("val_") else "training"
        fields.setdefault(kind, {})[label] = values

    def paint(figure: Any, palette: Palette) -> None:
        axes = figure.subplots(1, len(fields), squeeze=False)[0]
        for axis, (kind, lines) in zip(axes, fields.items(), strict=True):
            share = kind.endswith("accuracy")
            for place, (label, values) in enumerate(lines.items()):
                # What is measured every few epochs has NaN between.
                points = [
                    (epoch, 100 * value if share else value) for epoch, value in zip(epochs, values, strict=False)
                ]
                points = [point for point in points if math.isfinite(point[1])]
                mark = "o" if len(points) == 1 else None
                axis.plot(
                    *zip(*points, strict=True) if points else ((), ()),
                    color=palette[_LINES[place]],
                    label=label,
                    marker=mark,
                )
            alone = "validation " if list(lines) == ["validation"] else ""
            axis.set(xlabel="epoch", ylabel=alone + kind.replace("_", " ") + (", %" if share else ""))
            known = [value for values in lines.values() for value in values if math.isfinite(value)]
            if log and not share and known and 0 < 5 * min(known) < max(known):
                axis.set_yscale("log")
            _legend(axis, palette, lines)
        _dress(figure, axes, palette)

    what = f"Training curves of {len(epochs)} epochs: {', '.join(fields)}"
    return Drawing(name, what, 270.0 * len(fields), 210.0, paint)


def norms_by_layer(
    measured: GradientNorms | Mapping[str, GradientNorms], *, name: str = "gradient-norms", epochs: int = 4
) -> Drawing:
    """The norm of the gradient of each layer's weights, from the input to the loss, with one line for each epoch.

    Parameters
    ----------
    measured : what `GradientNorms` has measured, or several by title, each in a field of its own
    epochs : at most so many lines, from the first measurement to the last

    Raises
    ------
    DataError
        If nothing was measured.
    """
    fields = dict(measured) if isinstance(measured, Mapping) else {"": measured}
    for norms in fields.values():
        if not norms.epochs:
            raise DataError("no gradient norms were measured: give them to fit(…, callbacks=norms) first")

    def paint(figure: Any, palette: Palette) -> None:
        from matplotlib.ticker import FixedLocator

        all_axes = figure.subplots(1, len(fields), sharey=True, squeeze=False)[0]
        for axes, (title, norms) in zip(all_axes, fields.items(), strict=True):
            layers = norms.layers
            last = len(norms.epochs) - 1
            shown = sorted({round(step * last / max(epochs - 1, 1)) for step in range(epochs)})
            for order, place in enumerate(shown):
                sizes = [norms.norms[layer][place] for layer in layers]
                strength = 0.35 + 0.65 * (order + 1) / len(shown)
                axes.semilogy(
                    range(1, len(layers) + 1),
                    [size if size > 0 else math.nan for size in sizes],
                    "o-",
                    color=palette[_LINES[0]],
                    alpha=strength,
                    markersize=3.5,
                    label=f"epoch {norms.epochs[place]}",
                )
            axes.set_title(title, color=palette["ink"])
            axes.xaxis.set_major_locator(FixedLocator(range(1, len(layers) + 1)))
            axes.set_xticklabels(layers, rotation=0 if len(layers) < 8 else 60)
            axes.set_xlabel("from the input to the loss")
            _legend(axes, palette, shown)
        all_axes[0].set_ylabel("norm of the gradient")
        _dress(figure, all_axes, palette)

    what = "Norms of gradients, layer by layer" + "".join(f"; {title}" for title in fields if title)
    return Drawing(name, what, max(290.0 * len(fields), 340.0), 250.0, paint)


def weight_images(
    model: Model | Array,
    name: str = "W1",
    *,
    shape: Sequence[int] | None = None,
    columns: int | None = None,
    most: int = 64,
) -> Drawing:
    """The weights of each neuron, or each kernel of a convolution, as an image: blue below 0, red above.

    All images share one scale. A neuron of a dense layer has as many weights as the layer before has outputs: a square,
    or of `shape`. Of a kernel each channel is an image of its own, side by side; three are not taken for colours.

    Parameters
    ----------
    model : a `Model`, or the weights themselves: (neurons, inputs), or (kernels, channels, height, width)
    name : of a parameter of the model
    shape : (height, width) or (channels, height, width) of a neuron's weights
    columns : how many images stand side by side; by default about a square of them
    most : at most so many neurons or kernels are shown, the first

    Raises
    ------
    UndefinedError
        If the model has no parameter `name`.
    ShapeError
        If the weights are no images of this shape.
    """
    images, rest = _images(_weights(model, name), name, shape, most)
    count, channels, height, width = images.shape
    across = min(columns or math.ceil(math.sqrt(count * height / (width * channels))), count) or 1
    down = math.ceil(count / across)
    # Every image with a border of one pixel, the channels of one side by side.
    side = np.full((down * (height + 1) + 1, across * (channels * width + 1) + 1), np.nan)
    for place, image in enumerate(images):
        row, column = (place // across) * (height + 1) + 1, (place % across) * (channels * width + 1) + 1
        side[row : row + height, column : column + channels * width] = np.concatenate(list(image), axis=1)
    scale = float(np.abs(images).max()) or 1.0
    pixel = min(6.0, 420.0 / max(side.shape))
    size = (side.shape[1] * pixel + 70.0, side.shape[0] * pixel + 16.0)

    def paint(figure: Any, palette: Palette) -> None:
        from matplotlib import colormaps

        left, bottom = 8.0 / size[0], 8.0 / size[1]
        axes = figure.add_axes((left, bottom, side.shape[1] * pixel / size[0], side.shape[0] * pixel / size[1]))
        axes.set_axis_off()
        colours = colormaps["RdBu_r"].with_extremes(bad=(0.0, 0.0, 0.0, 0.0))
        shown = axes.imshow(side, cmap=colours, vmin=-scale, vmax=scale, interpolation="nearest", aspect="auto")
        bar = figure.add_axes((1 - 52.0 / size[0], bottom, 9.0 / size[0], 1 - 2 * bottom))
        figure.colorbar(shown, cax=bar)
        _tint(bar, palette)

    what = f"The weights {name}, {count} images of {height} × {width}" + (
        f" in {channels} channels" if channels > 1 else ""
    )
    return Drawing(f"{name}-images", what + (f"; {rest} more are not shown" if rest else ""), *size, paint)


def _weights(model: Model | Array, name: str) -> Array:
    if isinstance(model, np.ndarray):
        return model.astype(np.float64)
    known = getattr(model, "params", None)
    if known is None or name not in known:
        raise UndefinedError(f"the model has no parameter {name!r}; it has {', '.join(known or ()) or 'none'}")
    found: Array = np.asarray(known[name], dtype=np.float64)
    return found


def _images(weights: Array, name: str, shape: Sequence[int] | None, most: int) -> tuple[Array, int]:
    """The first weights as (images, channels, height, width), and how many are left out."""
    where = f"{name} of shape {weights.shape}"
    if weights.ndim not in (2, 4):
        raise ShapeError(f"{where}: expected (neurons, inputs) or (kernels, channels, height, width)")
    if weights.ndim == 2:
        inputs = weights.shape[1]
        side = math.isqrt(inputs)
        wanted = (side, side) if shape is None else tuple(shape) if isinstance(shape, Sequence) else (shape,)
        if len(wanted) not in (2, 3) or math.prod(wanted) != inputs:
            raise ShapeError(
                f"{where}: {inputs} weights are no image of {' × '.join(map(str, wanted))}; "
                "give shape=(height, width) or (channels, height, width)"
            )
        weights = weights.reshape(len(weights), *((1,) * (3 - len(wanted))), *wanted)
    elif shape is not None and tuple(shape) != weights.shape[4 - len(shape) :]:
        raise ShapeError(f"{where}: the kernels have this shape; leave out shape={tuple(shape)}")
    if not np.isfinite(weights).all():
        raise DataError(f"{where} has entries that are no numbers")
    return weights[:most], max(len(weights) - most, 0)


# ---- the look ----------------------------------------------------------------------------------------------------


def _dress(figure: Any, all_axes: Any, palette: Palette) -> None:
    figure.set_layout_engine("constrained")
    for axes in all_axes:
        axes.set_facecolor("none")
        axes.grid(color=palette["faint"], alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        _tint(axes, palette)


def _tint(axes: Any, palette: Palette) -> None:
    ink = palette["ink"]
    axes.tick_params(which="both", colors=ink, labelsize=8)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=ink, fontsize=9)
    for spine in axes.spines.values():
        spine.set_edgecolor(ink)


def _legend(axes: Any, palette: Palette, lines: Any) -> None:
    if len(lines) > 1:
        axes.legend(frameon=False, fontsize=8, labelcolor=palette["ink"])


__all__ = ["norms_by_layer", "training_curves", "weight_images"]
