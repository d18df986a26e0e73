"""What a matrix form is worth: its tree, evaluated with NumPy at the positions that it leaves open."""

import numpy as np
import sympy
from scipy.special import erf

import gradloom as gl
from gradloom.symbolic.functions import Elementwise
from gradloom.symbolic.matrix_tree import shown
from gradloom.symbolic.tensors import Adjoint, elements, indices_of, tensor_of

NUMPY = {"erf": erf, "Abs": np.abs, "sign": np.sign, "held": np.asarray}
COMPARE = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}


class Values:
    """Arrays and sizes by name, and how tensors are shown."""

    def __init__(self, arrays, sizes, layout, batch, example=False, numerator=False):
        self.arrays, self.sizes, self.layout, self.batch, self.example = arrays, sizes, layout, batch, example
        self.numerator = numerator  # whether adjoints are transposed

    def of(self, node, at):
        """The matrix that `node` is, at the positions `at`; vectors are columns or rows, as they are shown."""
        args = [] if node.kind in ("cases", "guarded", "sum") else [self.of(arg, at) for arg in node.args]
        return getattr(self, f"_{node.kind}")(node, args, at)

    def part(self, tensor, positions, at):
        """The array of `tensor` at `positions` (None: all along that axis), as it is shown."""
        array = np.asarray(self.arrays[tensor.name])
        axes = tuple(axis for axis, place in enumerate(positions) if place is None)
        array = array[tuple(slice(None) if place is None else self.whole(place, at) for place in positions)]
        if array.ndim > 2 or not axes:
            return array
        down, across = shown(tensor, axes, self.layout, self.batch)
        if down is None:
            return array.reshape(1, -1)
        return array.reshape(-1, 1) if across is None else array if down < across else array.T

    def whole(self, place, at):
        return int(self.at_sizes(place.xreplace({s: sympy.Integer(v) for s, v in at.items()})))

    def at_sizes(self, expr):
        return expr.xreplace({size: sympy.Integer(self.sizes[size.name]) for size in expr.atoms(gl.Dim)})

    def number(self, expr, at):
        def value(element):
            array = np.asarray(self.arrays[tensor_of(element).name])
            return sympy.Float(array[tuple(self.whole(place, at) for place in indices_of(element))])

        expr = expr.xreplace({element: value(element) for element in elements(expr)})
        return float(self.at_sizes(expr.xreplace({s: sympy.Integer(v) for s, v in at.items()})))

    def _tensor(self, node, args, at):
        tensor, transposed = node.value
        array = self.part(tensor, (None,) * tensor.rank, at)
        return array.T if transposed != (self.turned(tensor) and tensor.rank <= 2) else array

    def _slice(self, node, args, at):
        tensor, transposed, positions = node.value
        array = self.part(tensor, positions, at)
        return array.T if transposed != self.turned(tensor) else array

    def turned(self, tensor):
        return self.numerator and isinstance(tensor, Adjoint)

    def _scalar(self, node, args, at):
        return self.number(node.value, at)

    def _add(self, node, args, at):
        return sum(sign * arg for sign, arg in zip(node.value, args, strict=True))

    def _product(self, node, args, at):
        out = self.number(sympy.sympify(node.value), at)
        for arg in args:
            out = out * arg
        return out

    def _matmul(self, node, args, at):
        left, right = args
        left = np.ones((1, right.shape[0])) if left is None else left
        return left @ (np.ones((left.shape[1], 1)) if right is None else right)

    def _ones(self, node, args, at):
        return None

    def _power(self, node, args, at):
        return args[0] ** float(node.value)

    def _quotient(self, node, args, at):
        return args[0] / args[1]

    def _transpose(self, node, args, at):
        return args[0].T

    def _softmax(self, node, args, at):
        axis = 0 if args[0].ndim == 2 and self.layout == "columns" and not self.example else -1
        p = np.exp(args[0]) / np.exp(args[0]).sum(axis, keepdims=True)
        return np.log(p) if node.value else p

    def _norm(self, node, args, at):
        return np.sum(args[0] ** 2) if node.value == 2 else np.sum(np.abs(args[0]))

    def _inner(self, node, args, at):
        return np.sum(args[1] if args[0] is None else args[0] * args[1])

    def _sum(self, node, args, at):
        ((index, size),) = node.value
        return sum(self.of(node.args[0], {**at, index: place}) for place in range(int(self.at_sizes(size))))

    def _guarded(self, node, args, at):
        # Where a guard is 0, what it guards may not even exist.
        factor = self.number(node.value, at)
        return factor * self.of(node.args[0], at) if factor else 0.0

    def _iverson(self, node, args, at):
        return self._holds(node.value, at).astype(float)

    def _cases(self, node, args, at):
        out, decided = 0.0, False
        for branch, test in node.args:
            holds = True if test is None else self._holds(test, at)
            out = out + np.where(~np.asarray(decided) & holds, self.of(branch, at), 0.0)
            decided = np.asarray(decided) | holds
        return out

    def _holds(self, test, at):
        return COMPARE[test[0]](self.of(test[1], at), self.of(test[2], at))

    def _onehot(self, node, args, at):
        """Shown as a tensor of one more axis, the classes, would be."""
        tensor, positions = node.value if isinstance(node.value, tuple) else (node.value, (None,) * node.value.rank)
        labels = np.asarray(self.arrays[tensor.name])
        labels = labels[tuple(slice(None) if place is None else self.whole(place, at) for place in positions)]
        eye = np.eye(int(self.at_sizes(tensor.classes)))[labels]
        if eye.ndim == 1:
            return eye.reshape(-1, 1)
        batch = positions[0] is None and tensor.shape[0] == self.batch
        return eye.T if eye.ndim == 2 and batch and self.layout == "columns" else eye

    def _call(self, node, args, at):
        function = node.value
        if isinstance(function, Elementwise):
            z = sympy.Symbol("z", real=True)
            expr = function.definition(z, *function.args[1:])
            while expr.atoms(Elementwise):
                expr = expr.replace(lambda e: isinstance(e, Elementwise), lambda e: e.expand_definition())
            return sympy.lambdify(z, expr, ["scipy", "numpy"])(args[0])
        return NUMPY.get(type(function).__name__, getattr(np, type(function).__name__, None))(*args)
