"""`History`: what `fit` measured, per epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..symbolic.pictures.draw import Drawing


class History(Mapping[str, list[float]]):
    """Columns of numbers, one entry per epoch: ``history["loss"]`` or ``history.loss``.

    There are ``epoch`` (counted from the first `fit` of the model), ``loss`` (of the training rows, averaged over the
    epoch while the parameters change), with validation data ``val_loss``, and each metric (``val_accuracy`` on the
    validation data, ``accuracy`` on the training data where there are none). Losses and metrics after an epoch are
    those of its last parameters.
    """

    def __init__(self, columns: Mapping[str, list[float]] | None = None) -> None:
        self.columns: dict[str, list[float]] = {name: list(values) for name, values in (columns or {}).items()}

    def append(self, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            self.columns.setdefault(name, []).append(value)

    def row(self, place: int) -> dict[str, float]:
        return {name: values[place] for name, values in self.columns.items()}

    def __getitem__(self, name: str) -> list[float]:
        return self.columns[name]

    def __getattr__(self, name: str) -> list[float]:
        columns: dict[str, list[float]] = self.__dict__.get("columns", {})
        if name in columns:
            return columns[name]
        raise AttributeError(f"history has no {name!r}; it has {', '.join(columns) or 'no epochs'}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def lines(self, most: int = 12) -> list[str]:
        """A table as text, of at most `most` epochs, evenly spread, the first and the last among them."""
        epochs = len(self.columns.get("epoch", ()))
        if not epochs:
            return ["no epochs"]
        places = sorted({round(step * (epochs - 1) / max(most - 1, 1)) for step in range(most)})
        widths = {name: max(len(name), 10) for name in self.columns}
        lines = ["  ".join(f"{name:>{widths[name]}}" for name in self.columns)]
        for place in places:
            cells = self.row(place).items()
            lines.append("  ".join(f"{number_text(name, value):>{widths[name]}}" for name, value in cells))
        return lines

    def picture(self, *, log: bool = True) -> Drawing:
        """Draw the training curves; see `training_curves`."""
        from .pictures import training_curves

        return training_curves(self, log=log)

    def __str__(self) -> str:
        return "\n".join(self.lines())


def number_text(name: str, value: float) -> str:
    """A number as people read it in a table: accuracies as percentages."""
    if name == "epoch":
        return f"{int(value):d}"
    return f"{value:.2%}" if name.endswith("accuracy") else f"{value:.6g}"
