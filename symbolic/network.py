"""`Network`: tensors, the equations that define them in order, facts about them, and a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from sympy import Expr, Integer, Symbol

from .binders import from_user
from .equations import Equation, check_equation, infer_shape, right_side
from .errors import IndexingError, LossError, NameTakenError, ShapeError, UndefinedError
from .facts import Fact
from .indices import Dim, a, check_name
from .letters import Letters
from .modes import Modes
from .ranges import within
from .recurrence import blocks
from .tensors import Tensor, elements, shape_text, tensor_of

if TYPE_CHECKING:
    from .derivation import Derivation
    from .pictures.draw import Drawing


class Network(Modes):
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
    assignments : list of `Equation`, what `after_step` assigns to the states after each training step
    held : names of tensors that pass no gradient on
    left_out : names of states of the network that this one is a derivative of, and that it does not read
    beyond : name of a tensor → what its equation was declared to read, but only beyond the ends of an axis (at a step
        before the first where there is one step): it is not read, and so has the gradient 0
    further : names of what `predict` returns behind the output
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
        self.assignments: list[Equation] = []
        self.loss: Tensor | None = None
        self.values: dict[str, Expr] = {}
        self.initializers: dict[str, Any] = {}
        self.frozen: set[str] = set()
        self.announced: set[str] = set()
        self.held: set[str] = set()
        self.left_out: set[str] = set()
        self.beyond: dict[str, frozenset[Tensor]] = {}
        self.asked: list[str] | None = None
        self._output: str | None = None
        self.further: list[str] = []
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

    def constant(self, name: str, value: Any, *, latex: str | None = None) -> Tensor:
        """Declare a named number, such as a regularisation strength; it is printed by name and compiled as a literal.

        Raises
        ------
        ShapeError
            If `value` is not one real number.
        """
        number = from_user(value, f"constant {name}: ")
        if not (isinstance(number, Expr) and number.is_number and number.is_real):
            raise ShapeError(f"constant {name!r} must be one real number, found {value!r}")
        tensor = self._declare(Tensor(name, (), "constant", latex=latex))
        self.values[name] = number
        return tensor

    def sequence(self, name: str, shape: Any, *, latex: str | None = None) -> Tensor:
        """Announce a tensor that equations read before it is defined: a state that runs along time.

        `define` it later under the same name. What reads it at a shift, ``gl.padded(h[b, t - 1, k])``, makes the
        equations in between a recurrence.

        Examples
        --------
        >>> import gradloom as gl
        >>> B, T, n, m = gl.dims("B T n m")
        >>> b, t, i, k = gl.indices("b t i k")
        >>> net = gl.Network("recurrent")
        >>> x, W, U = net.input("x", (B, T, n)), net.parameter("W", (m, n)), net.parameter("U", (m, m))
        >>> h = net.sequence("h", (B, T, m))
        >>> before = gl.Sum(U[i, k] * gl.padded(h[b, t - 1, k]), (k, m))
        >>> z = net.define("z", (b, t, i), gl.Sum(W[i, k] * x[b, t, k], k) + before)
        >>> h = net.define("h", (b, t, i), gl.tanh(z[b, t, i]))
        >>> L = net.minimize(gl.Sum(h[b, t, i] ** 2, b, t, i))
        >>> print(net.derive().delta("h"))
        ∂L/∂h[b, t, i] = [t + 1 < T] Σ_j U[j, i] δ[b, t + 1, j] + 2 h[b, t, i]
        """
        tensor = self._declare(Tensor(name, shape, "value", latex=latex))
        self.announced.add(name)
        return tensor

    def define(
        self,
        name: str,
        indices: Any,
        body: Any,
        *,
        shape: Any = None,
        inference: Any = None,
        latex: str | None = None,
        note: str = "",
    ) -> Tensor:
        """Define ``name[indices] = body`` and return the new tensor.

        Parameters
        ----------
        indices : one index from `indices()` per axis; ``()`` for a scalar.
        body : SymPy expression over elements of declared tensors, `Sum`, `Max` and functions.
        shape : sizes of the axes; needed only where an index appears in no tensor of `body`.
        inference : what takes the place of `body` in inference: when the trained network predicts, or is evaluated.
            Training, and the derivation with it, knows `body` alone.

        Raises
        ------
        NameTakenError, ShapeError, IndexingError, UndefinedError
            Nothing is added to the network when one is raised.
        """
        check_name(name, "tensor")
        where = tuple(indices) if isinstance(indices, tuple | list) else (indices,)
        expr = right_side(name, body)
        other = None if inference is None else right_side(name, inference)
        announced = self.tensors[name] if name in self.announced else None
        if announced is not None:
            shape, latex = announced.shape if shape is None else shape, latex or announced.latex
        tensor = Tensor(name, infer_shape(name, where, expr) if shape is None else shape, "value", latex=latex)
        if len(tensor.shape) != len(where):
            raise ShapeError(f"{name}: {len(where)} indices, but shape {shape_text(tensor.shape)}")
        if announced is None:
            self._check_free(name)
        elif tensor != announced:
            raise ShapeError(
                f"{name} was announced with shape {shape_text(announced.shape)}, but is defined with "
                f"{shape_text(tensor.shape)}; give both the same shape and symbol"
            )
        equation = Equation(tensor, where, expr, note, other)
        declared = self.tensors if announced is None else {**self.tensors, name: tensor}
        check_equation(equation, declared)
        check_equation(equation.for_inference(), declared)
        ranges = dict(zip(where, tensor.shape, strict=True))
        equation = replace(equation, body=within(expr, ranges), inference=other and within(other, ranges))
        if announced is None:
            self._declare(tensor)
        else:
            blocks([*self.equations, equation])  # raises where no order of steps can compute them
            self.announced.discard(name)
        self.equations.append(equation)
        self.beyond[name] = frozenset(tensor_of(element) for element in elements(expr)) - set(equation.reads)
        self._letters.learn(equation, self.tensors)
        if other is not None:
            self._letters.learn(equation.for_inference(), self.tensors)
        return tensor

    def minimize(self, body: Any, *, name: str = "L", inference: Any = None, latex: str | None = None) -> Tensor:
        """Define the loss ``name = body``, the scalar that training minimises; `inference` is as in `define`.

        Raises
        ------
        LossError
            If there is a loss already, or `body` is not a scalar: it names the free indices.
        """
        if self.announced:
            name = min(self.announced)
            raise UndefinedError(f"{name} was announced by sequence() but is not defined; define({name!r}, …) it first")
        if self.loss is not None:
            raise LossError(f"{self.name} already minimises {self.loss.name}; add the terms in one minimize()")
        expr = from_user(body, "the loss: ")
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
        if inference is None and isinstance(expr, Tensor) and expr.name in self.tensors and self._equation_of(expr):
            self.loss = expr
        else:
            self.loss = self.define(name, (), expr, inference=inference, latex=latex, note="loss")
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
        """What `predict` returns: the tensor named by `set_output`, else the last that needs no target in inference."""
        if self._output is not None:
            return self.tensors[self._output]
        needs_target: set[Tensor] = set(self.targets)
        equations = self.for_inference()
        before = -1
        while len(needs_target) != before:  # a recurrence may read what stands below
            before = len(needs_target)
            needs_target |= {e.target for e in equations if needs_target & set(e.reads)}
        free = [e.target for e in equations if e.target not in needs_target and e.target != self.loss]
        last = free[-1] if free else None
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

    def set_output(self, name: str, *further: str) -> None:
        """Name the tensor that `predict` returns; with `further` ones, it returns a tuple of them all."""
        for one in (name, *further):
            self._known(one)
        self._output, self.further = name, list(further)

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

    def letters_of(self, size: Expr, at: Sequence[tuple[Tensor, int]] = ()) -> list[str]:
        """The letters of the axes `at` (tensor and number), then those of axes of `size`, that name nothing else."""
        return self._letters.along(size, at, self.tensors)

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
            If the loss does not depend on a parameter, or on a name in `wrt`. (Where it would if an axis were longer,
            as on the weights of a state at one step of time, the gradient is 0.)
        """
        from .derivation import derive

        return derive(self, wrt)

    def compile(self, **options: Any) -> Any:
        """Generate, compile and load the kernels of this network; see `gradloom.Program` for what it offers.

        Parameters
        ----------
        target : "cpu" (Numba, the default), "cuda" (an NVIDIA GPU) or "numpy" (the readable reference)
        dtype : "float32" (default) or "float64"
        batch : the largest batch that the program's buffers hold, and about what the kernels are chosen for; others
            need no second compilation
        sizes : numbers for symbolic sizes, by name
        optimizer : one of ``gl.optimizers``; adds the update and whole-epoch functions
        wrt : names to give gradients of; by default the parameters, or the inputs where there are none
        schedule : a `gradloom.KernelSchedule`: what of the kernels is not left to cost models
        checkpoint : k: of recurrences only the state at every k-th step is stored, and the backward pass computes the
            steps between again; True for about the square root of the number of steps. Memory of activations grows
            with T/k + k instead of T, for one more forward pass (target "cpu")
        precision : "tf32": tensor cores compute products of float32 factors that are rounded to 10 bits of mantissa, a
            relative error of up to 2⁻¹¹ each, where that is quicker; sums are of float32 (target "cuda")
        """
        if Network.compiler is None:
            raise UndefinedError("no compiler is registered: import gradloom, not its symbolic part alone")
        return Network.compiler(self, **options)

    def picture(self, values: Mapping[str, Any] | None = None, *, kind: str | None = None, **options: Any) -> Drawing:
        """Draw the network; notebooks show it, and ``picture().save("network.svg")`` writes a file (or ``.png``).

        Parameters
        ----------
        values : numbers (for tensors arrays) of all that no equation defines, by name: draws the circuit, every
            operation with its value and its gradient
        kind : "dataflow", one box for each tensor, or "circuit"; by default "circuit" with `values` or if all tensors
            are numbers
        options : of a circuit ``split=True`` (named functions opened), ``digits=2``, ``sizes={…}``, ``limit=150``
            (gates); of a dataflow ``parameters="boxes"``, ``"folded"`` or ``"hidden"``; ``engine="dot"`` or
            ``"igraph"``, which lays out; and choices of notation, such as ``deltas=False``

        Raises
        ------
        MissingExtraError
            If what draws is not installed (``pip install "gradloom[pages]"``).
        UnsupportedError
            If there are too many gates.
        UndefinedError
            If a value is missing.
        """
        from .pictures.choose import picture

        return picture(self, None, values, kind, **options)

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
        from .report.page import declared

        return "\n".join(line.formula.text for line in declared(self))

    def _repr_latex_(self) -> str:
        from .report.page import declared

        rows = [line.formula.latex.replace(" = ", " &= ", 1) for line in declared(self)]
        return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"

    def _repr_html_(self) -> str | None:
        from .report.notebook import shown_lines
        from .report.page import declared

        return shown_lines(declared(self))
