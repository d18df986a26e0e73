"""Changed copies of an equation, each with what it is worth: what `check` must tell from the equation itself.

An equation in index form is changed as a SymPy expression and evaluated by the reference interpreter; one in matrix
form as the tree that is printed, evaluated with NumPy by `matrix_values`.
"""

from dataclasses import replace

import numpy as np
import sympy
from matrix_values import Values

import gradloom as gl
from gradloom.symbolic.binders import Binder
from gradloom.symbolic.equations import Equation
from gradloom.symbolic.latex import LatexPrinter
from gradloom.symbolic.matrix_tree import Node
from gradloom.symbolic.matrix_write import MatrixWriter
from gradloom.symbolic.printer import names_in
from gradloom.symbolic.report.writing import Writer
from gradloom.symbolic.tensors import element_of, indices_of, is_element, tensor_of


def changed(expr, tensors):
    """`expr` with one thing changed: a sign, a factor or a term left out, a factor 2, indices swapped, a tensor."""
    if is_element(expr):
        tensor, where = tensor_of(expr), indices_of(expr)
        yield 2 * expr
        for axis in range(tensor.rank - 1):
            if tensor.shape[axis] == tensor.shape[axis + 1]:
                yield element_of(tensor, [*where[:axis], where[axis + 1], where[axis], *where[axis + 2 :]])
        for other in tensors:
            if other != tensor and other.shape == tensor.shape and other.classes is None:
                yield element_of(other, where)
        return
    if isinstance(expr, Binder):
        body, pairs = expr.open()
        for new in changed(body, tensors):
            yield expr.func(new, *pairs)
        return
    args = expr.args
    if isinstance(expr, sympy.Add | sympy.Mul):
        for at in range(len(args)):
            yield expr.func(*args[:at], *args[at + 1 :])
            yield expr.func(*args[:at], -args[at], *args[at + 1 :])
    if not args or not expr.atoms(sympy.Indexed) or isinstance(expr, sympy.KroneckerDelta):
        return
    for at, arg in enumerate(args):
        if isinstance(arg, sympy.Expr):
            for new in changed(arg, tensors):
                yield expr.func(*args[:at], new, *args[at + 1 :])


def changed_tree(node):
    """A matrix expression with one thing changed: a transpose, a sign, a factor or a term, the order of a product."""
    if node.kind in ("tensor", "slice"):
        tensor, turned, *where = node.value
        axes = where[0].count(None) if where else tensor.rank
        if axes == 2:  # how a vector lies, a bias say, may be left to the reader
            yield replace(node, value=(tensor, not turned, *where))
    args = node.args
    if node.kind in ("add", "product", "matmul") and len(args) > 1:
        for at in range(len(args)):
            value = (*node.value[:at], *node.value[at + 1 :]) if node.kind == "add" else node.value
            yield Node(node.kind, (*args[:at], *args[at + 1 :]), value)
    if node.kind == "add":
        for at, sign in enumerate(node.value):
            yield replace(node, value=(*node.value[:at], -sign, *node.value[at + 1 :]))
    if node.kind == "product":
        yield replace(node, value=2 * node.value)
    if node.kind == "matmul":
        yield replace(node, args=args[::-1])
    for at, arg in enumerate(args):
        if isinstance(arg, Node):
            for new in changed_tree(arg):
                yield replace(node, args=(*args[:at], new, *args[at + 1 :]))


def index_mutants(equation, network, notation, env, sizes):
    """LaTeX, and the array that it claims, of each change in index form that has a value."""
    write = Writer(network, notation, None)
    for body in dict.fromkeys(changed(equation.body, list(network.tensors.values()))):
        mutant = Equation(equation.target, equation.indices, body)
        try:
            value = gl.evaluate([mutant], env, sizes)[equation.target.name]
        except (gl.GradloomError, IndexError, KeyError, TypeError, ValueError, ArithmeticError):  # no real value
            continue  # what leaves an axis has no value here, and counts as 0 where people write it
        yield write.equation(mutant).latex, np.asarray(value)


def matrix_mutants(equation, form, view, network, notation, env, sizes):
    """LaTeX, what it claims and what is right, both as they are shown, of each change in matrix form."""
    turned = notation.derivatives == "numerator"
    values = Values(env, sizes, notation.layout, network.batch, view.example, turned)
    open_axes = set(equation.indices) - {form.row, form.col} if form.left.kind != "tensor" else set()
    at = dict.fromkeys(open_axes, 1)
    expected = np.asarray(values.of(form.left, at))
    letters = Writer(network, notation).letters
    for right in dict.fromkeys(changed_tree(form.right)):
        writer = MatrixWriter(LatexPrinter(names_in(equation.body, equation.indices), letters, (), notation))
        try:
            with np.errstate(all="ignore"):
                found = np.broadcast_to(values.of(right, at), expected.shape)
        except (ValueError, IndexError):
            found = None
        yield f"{writer.write(form.left)} = {writer.write(right)}", found, expected
