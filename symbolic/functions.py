"""Named elementwise functions: a name, a definition, and a derivative that is derived from the definition.

`elementwise` makes one. In equations it stays a function node (``sigmoid(z[i, j])``), so that what is printed has
the name; `expand_definition` gives the formula, and the engine derives from that.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, cast

from sympy import Dummy, Expr, Function

from .binders import Binder, from_user
from .errors import GradloomError, IndexingError, UndefinedError
from .indices import check_latex, check_name
from .tensors import elements


class Elementwise(Function):
    """Base of the named functions; applied to an expression, it is an unevaluated SymPy function of it."""

    formula: ClassVar[Callable[..., Any]]
    defaults: ClassVar[tuple[Any, ...]]
    symbol: ClassVar[str | None]
    _eval_is_real = lambda self: True  # noqa: E731 - SymPy's own way to state an assumption

    def __new__(cls, *args: Any, **options: Any) -> Any:
        evaluate = {name: options.pop(name) for name in ("evaluate",) if name in options}  # SymPy's own option
        try:
            given = inspect.signature(cls.formula).bind(*args, **options)
        except TypeError as error:
            raise IndexingError(f"{cls.__name__} takes {_arity(cls.defaults)}: {error}") from None
        given.apply_defaults()
        return super().__new__(cls, *map(from_user, given.args), **evaluate)

    @classmethod
    def definition(cls, *args: Any) -> Expr:
        """The formula at `args`, an ordinary SymPy expression."""
        return from_user(of_symbols(cls.formula, *args, name=f"{cls.__name__}: its formula", kind=IndexingError))

    def expand_definition(self) -> Expr:
        return type(self).definition(*self.args)

    def fdiff(self, argindex: int = 1) -> Expr:
        """Derivative with respect to one argument, derived from the definition, in terms of the function's value."""
        return _derived(cast(Any, type(self)), argindex)(self, *self.args)

    def _eval_evalf(self, precision: int) -> Any:
        return self.expand_definition()._eval_evalf(precision)


@cache
def _derived(function: Any, argindex: int) -> Callable[..., Expr]:
    from .reuse import derivative

    args = [Dummy(f"x{place}", real=True) for place in range(len(function.defaults))]
    value = Dummy("value", real=True)
    formula = derivative(function.definition(*args), args[argindex - 1], value)
    # Simultaneous, since an argument may itself hold a value of the same function.
    return lambda node, *at: formula.xreplace({value: node, **dict(zip(args, at, strict=True))})


def elementwise(name: str, formula: Callable[..., Any], *, latex: str | None = None) -> type[Elementwise]:
    """Make a named elementwise function from its formula.

    Parameters
    ----------
    name : how it is called in text and generated code.
    formula : takes SymPy expressions (the argument, then optional constants with defaults), returns one.
    latex : how it is printed; by default ``\\operatorname{name}``.

    Returns
    -------
    A SymPy function class: call it on an expression.

    Examples
    --------
    >>> import gradloom as gl
    >>> mish = gl.elementwise("mish", lambda z: z * gl.tanh(gl.softplus(z)))
    >>> i, = (gl.indices("i"),)
    >>> net = gl.Network()
    >>> x = net.input("x", 5)
    >>> a = net.define("a", i, mish(x[i]))

    Raises
    ------
    IndexingError
        If the formula is not elementwise: it sums, or reads a tensor.
    """
    check_name(name, "function")
    check_latex(latex, name)
    if not callable(formula):
        raise UndefinedError(f"{name}: its formula is {formula!r}; expected a function, such as lambda z: z**2")
    defaults = tuple(parameter.default for parameter in inspect.signature(formula).parameters.values())
    members = {"formula": staticmethod(formula), "defaults": defaults, "symbol": latex, "nargs": len(defaults)}
    metaclass: Any = type(Elementwise)
    members["__module__"] = sys._getframe(1).f_globals.get("__name__", __name__)  # where pickle finds it by its name
    made: type[Elementwise] = metaclass(name, (Elementwise,), members)
    probe = made.definition(*(Dummy(real=True) for _ in defaults))
    if not isinstance(probe, Expr) or probe.has(Binder) or elements(probe):
        raise IndexingError(f"{name} is not elementwise: its formula gave {probe}; use Sum in define() instead")
    return made


def of_symbols(formula: Callable[..., Any], *symbols: Any, name: str, kind: type[GradloomError]) -> Any:
    """What a function of the user's makes of symbols.

    Raises
    ------
    kind
        If it is for numbers alone, as NumPy's functions and Python's ``if`` are.
    """
    try:
        return formula(*symbols)
    except TypeError as error:
        raise kind(
            f"{name} cannot be applied to symbols ({error}); write sympy.exp or gl.tanh, not numpy.exp, "
            "and cases with sympy.Piecewise"
        ) from error


def _arity(defaults: tuple[Any, ...]) -> str:
    least = sum(value is inspect.Parameter.empty for value in defaults)
    return f"{least} argument{'s'[: least != 1]}" + (f" to {len(defaults)}" if least < len(defaults) else "")
