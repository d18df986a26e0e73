"""Every error gradloom raises on purpose: one class per cause, all under GradloomError.

A message names the symbol, what was found, what was expected, and the mend.
"""

from __future__ import annotations


class GradloomError(Exception):
    """Base of all of gradloom's own errors; the command line turns it into exit status 2."""


class NameTakenError(GradloomError, ValueError):
    """A name is taken, reserved, or not a plain Python identifier."""


class ShapeError(GradloomError, ValueError):
    """Two sizes that must be equal are not, or a tensor has another number of axes."""


class IndexingError(GradloomError, ValueError):
    """An index is unbound, used twice, or has no known range."""


class RecurrenceError(GradloomError, ValueError):
    """Equations need each other in a way that no order of steps can compute."""


class UndefinedError(GradloomError, ValueError):
    """A symbol in an equation is not declared (or not yet defined) in the network."""


class LossError(GradloomError, ValueError):
    """There is no loss, or the loss is not a scalar."""


class UnusedParameterError(GradloomError, ValueError):
    """The loss does not depend on a tensor whose gradient is asked for."""


class UnsupportedError(GradloomError, NotImplementedError):
    """A valid expression that this version cannot derive or generate code for."""


class SizeError(GradloomError, ValueError):
    """A symbolic size has no number, two different ones, or one at which an axis would be empty."""


class DataError(GradloomError, ValueError):
    """Data handed to a program or a model has the wrong shape, type or values."""


class DivergenceError(GradloomError, ArithmeticError):
    """The loss became NaN or infinite in training; the last good parameters are kept."""


class SavedFileError(GradloomError, ValueError):
    """A saved file is missing, corrupt, truncated, or belongs to another network."""


class ModelFileError(GradloomError, ValueError):
    """A MODEL argument names no file, no network, or a file that fails to run."""


class CacheError(GradloomError, OSError):
    """The kernel cache directory cannot be used."""


class MissingExtraError(GradloomError, ImportError):
    """What was asked for needs a package that is installed with one of gradloom's extras."""


class PdfError(GradloomError, RuntimeError):
    """No TeX is installed, or it stopped with an error."""


class ClaimSyntaxError(GradloomError, ValueError):
    """A formula that is to be checked cannot be read.

    Attributes
    ----------
    text : the formula, as it was given
    position : offset in `text` of what is wrong
    """

    def __init__(self, what: str, text: str = "", position: int = 0) -> None:
        self.what, self.text, self.position = what, text, position
        start = text.rfind("\n", 0, position) + 1
        end = text.find("\n", position)
        line, column = text[start : len(text) if end < 0 else end], position - start
        if column > 70:  # a window of a long line
            line, column = "…" + line[column - 60 :], 61
        shown = "".join(c if c.isprintable() else " " for c in line[: column + 50])
        where = f" (line {text.count(chr(10), 0, position) + 1})" if "\n" in text.rstrip() else ""
        super().__init__(f"{what}{where}\n    {shown}\n    {' ' * column}^")

    def __reduce__(self) -> tuple[type[ClaimSyntaxError], tuple[str, str, int]]:
        return type(self), (self.what, self.text, self.position)
