"""`Network`: tensors, the equations that define them in order, facts about them, and a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import sympy
from sympy import Expr, Integer, Symbol

from .binders import from_user
from .equations import Equation, check_equation, infer_shape
from .errors import IndexingError, LossError, NameTakenError, ShapeError, UndefinedError
from .facts import Fact
from .indices import Dim, a, check_name
from .letters import Letters
from .tensors import Tensor, shape_text

if TYPE_CHECKING:
    from .derivation import Derivation


class Network:
    """A network and its loss, as an ordered list of equations.

    Parameters
    ----------
    name : a Python identifier; titles what is printed and generated.

    Attributes
    ----------
    tensors : dict of name → `Tensor`, in order of declaration
    equations : list of `Equation`, each reading only what stands before it; the loss is the last
    facts : list of `Fact`, declared properties that compaction may use
    loss : the scalar `Tensor` to minimise, or None until `minimize`
    held : names of tensors that pass no gradient on
    asked : names whose gradients `derive` gives by default, or None for the parameters (or inputs)

    Examples
    --------
    >>> import gradloom as gl
    >>> B, n, m = gl.dims("B n m")
    >>> i, j, k = gl.indices("i j k")
    >>> net = gl.Network("perceptron")
    >>> x, y = net.input("x", (B, n)), net.target("y", (B, m))
    >>> W, b = net.parameter("W", (m, n)), net.parameter("b", (m,))
    >>> z = net.define("z", (i, j), gl.Sum(W[j, k] * x[i, k], k) + b[j])
    >>> a = net.define("a", (i, j), gl.sigmoid(z[i, j]))
    >>> L = net.minimize(gl.Sum((a[i, j] - y[i, j]) ** 2, i, j) / (2 * B))
    >>> print(net.derive()["W"])
    ∂L/∂W[j, k] = Σ_i δ[i, j] x[i, k]
    """

    # What `compile` calls; the package sets it, so that this folder need not know the ones that run kernels.
    compiler: ClassVar[Callable[..., Any] | None] = None

    def __init__(self, name: str = "network") -> None:
        self.name = check_name(name, "network")
        self.tensors: dict[str, Tensor] = {}
        self.equations: list[Equation] = []
        self.facts: list[Fact] = []
        self.loss: Tensor | None = None
        self.values: dict[str, Expr] = {}
        self.initializers: dict[str, Any] = {}
        self.frozen: set[str] = set()
        self.held: set[str] = set()
        self.asked: list[str] | None = None
        self._output: str | None = None
        self._letters = Letters()

    # ---- declaring -------------------------------------------------------------------------------------------

    def input(
        self, name: str, shape: Any = (), *, classes: Any = None, one_hot: bool = False, latex: str | None = None
    ) -> Tensor:
        """Declare an input, batch axis first. ``classes=C``: integers 0…C-1; ``one_hot``: the last axis sums to 1."""
        return self._data(name, shape, "input", classes, one_hot, latex)

    def target(
        self, name: str, shape: Any = (), *, classes: Any = None, one_hot: bool = False, latex: str | None = None
    ) -> Tensor:
        """Declare a target, batch axis first; the options are those of `input`."""
        return self._data(name, shape, "target", classes, one_hot, latex)

    def parameter(self, name: str, shape: Any = (), *, init: Any = None, latex: str | None = None) -> Tensor:
        """Declare a parameter: a tensor that training changes.

        Parameters
        ----------
        init : how a model fills it: an initialiser from ``gl.initializers``, an array, a number, or None for the
            default (Glorot uniform for two or more axes, zeros otherwise).
        """
        tensor = self._declare(Tensor(name, shape, "parameter", latex=latex))
        self.initializers[name] = init
        return tensor

    def state(self, name: str, shape: Any = (), *, latex: str | None = None) -> Tensor:
        """Declare a state: a tensor that is carried along but has no gradient (an optimizer's moments)."""
        return self._declare(Tensor(name, shape, "state", latex=latex))

    def constant(self, name: str, value: Any, *, latex: str | None = None) -> Tensor:
        """Declare a named number, such as a regularisation strength; it is printed by name and compiled as a literal.

        Raises
        ------
        ShapeError
            If `value` is not one real number.
        """
        number = from_user(value)
        if not (isinstance(number, Expr) and number.is_number and number.is_real):
            raise ShapeError(f"constant {name!r} must be one real number, found {value!r}")
        tensor = self._declare(Tensor(name, (), "constant", latex=latex))
        self.values[name] = number
        return tensor

    def define(
        self,
        name: str,
        indices: Any,
        body: Any,
        *,
        shape: Any = None,
        latex: str | None = None,
        note: str = "",
    ) -> Tensor:
        """Define ``name[indices] = body`` and return the new tensor.

        Parameters
        ----------
        indices : one index from `indices()` per axis; ``()`` for a scalar.
        body : SymPy expression over elements of declared tensors, `Sum`, `Max` and functions.
        shape : sizes of the axes; needed only where an index appears in no tensor of `body`.

        Raises
        ------
        NameTakenError, ShapeError, IndexingError, UndefinedError
            Nothing is added to the network when one is raised.
        """
        check_name(name, "tensor")
        where = tuple(indices) if isinstance(indices, tuple | list) else (indices,)
        expr = from_user(body)
        if not isinstance(expr, Expr):
            raise IndexingError(f"{name}: the right side must be one SymPy expression, found {body!r}")
        if expr.has(sympy.nan, sympy.zoo, sympy.oo, sympy.I):
            raise IndexingError(f"{name}: the right side holds {expr}, which is not a finite real number")
        tensor = Tensor(name, infer_shape(name, where, expr) if shape is None else shape, "value", latex=latex)
        if len(tensor.shape) != len(where):
            raise ShapeError(f"{name}: {len(where)} indices, but shape {shape_text(tensor.shape)}")
        self._check_free(name)
        equation = Equation(tensor, where, expr, note)
        check_equation(equation, self.tensors)
        self._declare(tensor)
        self.equations.append(equation)
        self._letters.learn(equation, self.tensors)
        return tensor

    def minimize(self, body: Any, *, name: str = "L", latex: str | None = None) -> Tensor:
        """Define the loss ``name = body``, the scalar that training minimises.

        Raises
        ------
        LossError
            If there is a loss already, or `body` is not a scalar: it names the free indices.
        """
        if self.loss is not None:
            raise LossError(f"{self.name} already minimises {self.loss.name}; add the terms in one minimize()")
        expr = from_user(body)
        free = sorted(
            (s for s in expr.free_symbols if isinstance(s, Symbol) and not isinstance(s, Tensor | Dim)), key=str
        )
        if isinstance(body, Tensor) and body.rank:
            raise LossError(
                f"the loss must be a scalar, but {body.name} has shape {shape_text(body.shape)}; sum over it"
            )
        if free:
            raise LossError(
                f"the loss must be a scalar, but it still depends on index {', '.join(map(str, free))}: "
                f"sum over it, as in Sum(…, {', '.join(map(str, free))})"
            )
        if isinstance(expr, Tensor) and expr.name in self.tensors and self._equation_of(expr):
            self.loss = expr
        else:
            self.loss = self.define(name, (), expr, latex=latex, note="loss")
        return self.loss

    def assume(self, fact: Any, value: Any = None) -> Fact:
        """Declare a fact that compaction may use and name: ``net.assume(gl.Sum(y[i, k], k), 1)``."""
        made = Fact.from_sum(from_user(fact), from_user(value), "declared")
        if made.tensor.shape[made.axis] == self.batch:
            raise IndexingError(
                f"cannot assume {from_user(fact)} = {value}: it is over the batch, and no mini-batch need fulfil it"
            )
        self.facts.append(made)
        return made

    def freeze(self, *names: str) -> None:
        """Keep these parameters at their values in training: their gradients are derived, but no update is made."""
        for name in names:
            if self._known(name).role != "parameter":
                raise UndefinedError(f"only parameters can be frozen; {name} is {a(self.tensors[name].role)}")
            self.frozen.add(name)

    # ---- asking ----------------------------------------------------------------------------------------------

    def by_role(self, *roles: str) -> list[Tensor]:
        return [tensor for tensor in self.tensors.values() if tensor.role in roles]

    @property
    def inputs(self) -> list[Tensor]:
        return self.by_role("input")

    @property
    def targets(self) -> list[Tensor]:
        return self.by_role("target")

    @property
    def parameters(self) -> list[Tensor]:
        return self.by_role("parameter")

    @property
    def output(self) -> Tensor:
        """What `predict` returns: the tensor named by `set_output`, else the last one that needs no target."""
        if self._output is not None:
            return self.tensors[self._output]
        needs_target: set[Tensor] = set(self.targets)
        last = None
        for equation in self.equations:
            if needs_target & set(equation.reads):
                needs_target.add(equation.target)
            elif equation.target != self.loss:
                last = equation.target
        if last is None:
            raise UndefinedError(f"{self.name} has no output: no tensor is defined from the inputs alone")
        return last

    @property
    def has_output(self) -> bool:
        """Whether `set_output` named one."""
        return self._output is not None

    @property
    def batch(self) -> Dim | None:
        """The size of the batch: the symbolic leading axis of the inputs that is in no parameter's shape, or None."""
        sizes = {size for tensor in self.parameters for size in tensor.shape}
        for tensor in self.by_role("input", "target"):
            if tensor.rank and isinstance(tensor.shape[0], Dim) and tensor.shape[0] not in sizes:
                return tensor.shape[0]
        return None

    def set_output(self, name: str) -> None:
        """Name the tensor that `predict` returns."""
        self._known(name)
        self._output = name

    def equation(self, name: str) -> Equation:
        """The equation that defines `name`."""
        found = self._equation_of(self._known(name))
        if found is None:
            raise UndefinedError(f"{name} is declared as {self.tensors[name].role}, so no equation defines it")
        return found

    def home(self, tensor: Tensor) -> tuple[Symbol, ...]:
        """The indices with which `tensor` is written: its equation's, or those of its first use."""
        return self._letters.home(tensor, self.tensors)

    def fresh_indices(self, sizes: Iterable[Expr], taken: Iterable[Symbol]) -> tuple[Symbol, ...]:
        """One letter per size, as the network writes axes of that size, none twice and none in `taken`."""
        return self._letters.fresh(sizes, taken, self.tensors)

    def derive(self, wrt: Iterable[str] | None = None) -> Derivation:
        """Derive the adjoint of every tensor that the loss depends on.

        Parameters
        ----------
        wrt : names whose gradients are wanted; by default every parameter, or every real input where there are none.

        Raises
        ------
        LossError
            If no loss was declared.
        UnusedParameterError
            If the loss does not depend on a parameter, or on a name in `wrt`.
        """
        from .derivation import derive

        return derive(self, wrt)

    def compile(self, **options: Any) -> Any:
        """Generate, compile and load the kernels of this network; see `gradloom.Program` for what it offers.

        Parameters
        ----------
        target : "cpu" (Numba, the default) or "numpy" (the readable reference)
        dtype : "float32" (default) or "float64"
        batch : the largest batch that the program's buffers hold; smaller ones need no second compilation
        sizes : numbers for symbolic sizes, by name
        optimizer : one of ``gl.optimizers``; adds the update and whole-epoch functions
        wrt : names to give gradients of; by default the parameters, or the inputs where there are none
        """
        if Network.compiler is None:
            raise UndefinedError("no compiler is registered: import gradloom, not its symbolic part alone")
        return Network.compiler(self, **options)

    # ---- inside ----------------------------------------------------------------------------------------------

    def _data(self, name: str, shape: Any, role: str, classes: Any, one_hot: bool, latex: str | None) -> Tensor:
        tensor = self._declare(Tensor(name, shape, role, classes=classes, latex=latex))
        if one_hot:
            if not tensor.rank:
                raise ShapeError(f"{name} cannot be one-hot: it has no axis")
            self.facts.append(Fact(tensor, tensor.rank - 1, Integer(1), "declared: one-hot"))
        return tensor

    def _check_free(self, name: str) -> None:
        check_name(name, "tensor")
        if name in self.tensors:
            raise NameTakenError(
                f"{name!r} is taken: it names {a(self.tensors[name].role)} of {self.name}; choose another"
            )
        sizes = {str(s) for t in self.tensors.values() for size in t.shape for s in size.free_symbols}
        if name in sizes:
            raise NameTakenError(f"{name!r} is taken: it names a size in {self.name}; choose another")

    def _declare(self, tensor: Tensor) -> Tensor:
        self._check_free(tensor.name)
        for size in tensor.shape:
            for symbol in size.free_symbols:
                check_name(symbol.name, "size")
                if symbol.name in self.tensors or symbol.name == tensor.name:
                    raise NameTakenError(
                        f"size {symbol.name!r} of {tensor.name} is taken: it names a tensor; rename one"
                    )
        self.tensors[tensor.name] = tensor
        return tensor

    def _known(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise UndefinedError(f"{self.name} has no tensor {name!r}; it has {', '.join(self.tensors) or 'none'}")
        return self.tensors[name]

    def _equation_of(self, tensor: Tensor) -> Equation | None:
        return next((equation for equation in self.equations if equation.target == tensor), None)

    def __str__(self) -> str:
        return "\n".join(map(str, self.equations))

    def _repr_latex_(self) -> str:
        from .latex import equations_latex

        return equations_latex(self.equations)
