"""Every optimizer against torch.optim and every schedule against torch.optim.lr_scheduler, step by step."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import sympy
import torch
from kernels import plain
from torch.optim import lr_scheduler

from gradloom.codegen.generate import generate
from gradloom.symbolic.errors import DataError, NameTakenError, UndefinedError
from gradloom.symbolic.evaluate import evaluate
from gradloom.symbolic.layers import Dense
from gradloom.symbolic.losses import SquaredError
from gradloom.symbolic.optimizers import SGD, AdaGrad, Adam, AdamW, Optimizer, RMSProp
from gradloom.symbolic.schedules import Constant, Cosine, Exponential, Schedule, StepDecay, WarmUp
from gradloom.symbolic.sequential import Sequential

STEPS, ENTRIES = 7, 5


def run(optimizer, start, gradients):
    """The parameters after each step, by the equations alone."""
    values = {state.name: np.zeros(ENTRIES) for state in optimizer.states}
    values |= {"theta": start, **optimizer.values}
    trace = []
    for step, gradient in enumerate(gradients, start=1):
        values |= evaluate(optimizer.equations, values | {"g": gradient, "t": step}, sizes={"N": ENTRIES})
        trace.append(values["theta"])
    return np.array(trace)


def run_torch(make, start, gradients, schedule=None):
    theta = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = make([theta])
    scheduler = schedule(optimizer) if schedule else None
    trace = []
    for gradient in gradients:
        theta.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
        if scheduler:
            scheduler.step()
        trace.append(theta.detach().numpy().copy())
    return np.array(trace)


@pytest.fixture
def data():
    rng = np.random.default_rng(13)
    return rng.normal(size=ENTRIES), rng.normal(size=(STEPS, ENTRIES))


o = torch.optim
CASES = [
    (lambda: SGD(0.1), lambda p: o.SGD(p, lr=0.1)),
    (lambda: SGD(0.1, weight_decay=0.3), lambda p: o.SGD(p, lr=0.1, weight_decay=0.3)),
    (lambda: SGD(0.1, momentum=0.8), lambda p: o.SGD(p, lr=0.1, momentum=0.8)),
    (lambda: SGD(0.1, 0.8, True), lambda p: o.SGD(p, lr=0.1, momentum=0.8, nesterov=True)),
    (lambda: SGD(0.1, 0.8, weight_decay=0.3), lambda p: o.SGD(p, lr=0.1, momentum=0.8, weight_decay=0.3)),
    (lambda: SGD(0.1, 0.8, True, 0.3), lambda p: o.SGD(p, lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.3)),
    (lambda: Adam(), lambda p: o.Adam(p)),
    (lambda: Adam(0.1, 0.7, 0.8, 1e-3), lambda p: o.Adam(p, lr=0.1, betas=(0.7, 0.8), eps=1e-3)),
    (lambda: Adam(0.1, beta1=0.0, weight_decay=0.3), lambda p: o.Adam(p, lr=0.1, betas=(0.0, 0.999), weight_decay=0.3)),
    (lambda: AdamW(), lambda p: o.AdamW(p)),
    (
        lambda: AdamW(0.1, 0.7, 0.8, 1e-3, 0.3),
        lambda p: o.AdamW(p, lr=0.1, betas=(0.7, 0.8), eps=1e-3, weight_decay=0.3),
    ),
    (lambda: AdamW(0.1, weight_decay=0), lambda p: o.AdamW(p, lr=0.1, weight_decay=0)),
    (lambda: RMSProp(), lambda p: o.RMSprop(p)),
    (lambda: RMSProp(0.1, 0.8, 1e-3, 0.3), lambda p: o.RMSprop(p, lr=0.1, alpha=0.8, eps=1e-3, weight_decay=0.3)),
    (lambda: RMSProp(0.1, momentum=0.6), lambda p: o.RMSprop(p, lr=0.1, momentum=0.6)),
    (lambda: RMSProp(0.1, centered=True), lambda p: o.RMSprop(p, lr=0.1, centered=True)),
    (
        lambda: RMSProp(0.1, 0.8, 1e-3, 0.3, 0.6, True),
        lambda p: o.RMSprop(p, lr=0.1, alpha=0.8, eps=1e-3, weight_decay=0.3, momentum=0.6, centered=True),
    ),
    (lambda: AdaGrad(), lambda p: o.Adagrad(p)),
    (
        lambda: AdaGrad(0.1, 0.2, 0.3, 1e-3, 0.4),
        lambda p: o.Adagrad(p, lr=0.1, lr_decay=0.2, weight_decay=0.3, eps=1e-3, initial_accumulator_value=0.4),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), CASES, ids=[repr(ours()) for ours, _ in CASES])
def test_agrees_with_torch(ours, theirs, data):
    np.testing.assert_allclose(run(ours(), *data), run_torch(theirs, *data), rtol=1e-12)


def warm(optimizer, steps, then):
    # A warm-up's last step is then's first; PyTorch's SequentialLR counts steps from 0.
    first = lr_scheduler.LinearLR(optimizer, 1 / steps, 1.0, total_iters=steps - 1)
    return lr_scheduler.SequentialLR(optimizer, [first, then], milestones=[steps])


SCHEDULES = [
    (StepDecay(0.3, 2, 0.5), lambda opt: lr_scheduler.StepLR(opt, 2, 0.5)),
    (Exponential(0.3, 0.8), lambda opt: lr_scheduler.ExponentialLR(opt, 0.8)),
    (Cosine(0.3, 11, 0.01), lambda opt: lr_scheduler.CosineAnnealingLR(opt, 11, 0.01)),
    (WarmUp(3, Cosine(0.3, 11)), lambda opt: warm(opt, 3, lr_scheduler.CosineAnnealingLR(opt, 11))),
    (WarmUp(3, StepDecay(0.3, 2, 0.5)), lambda opt: warm(opt, 3, lr_scheduler.StepLR(opt, 2, 0.5))),
    (WarmUp(4, 0.3), lambda opt: lr_scheduler.LinearLR(opt, 1 / 4, 1.0, total_iters=3)),
]


@pytest.mark.filterwarnings("ignore:The epoch parameter in")  # SequentialLR's own use of it
@pytest.mark.parametrize(
    ("ours", "theirs"),
    SCHEDULES,
    ids=lambda value: "" if callable(value) and not isinstance(value, Schedule) else repr(value),
)
def test_schedules_agree_with_torch(ours, theirs, data):
    expected = run_torch(lambda p: o.SGD(p, lr=0.3, momentum=0.5), *data, theirs)
    np.testing.assert_allclose(run(SGD(ours, momentum=0.5), *data), expected, rtol=1e-12)
    expected = run_torch(lambda p: o.AdamW(p, lr=0.3, weight_decay=0.1), *data, theirs)
    np.testing.assert_allclose(run(AdamW(ours, weight_decay=0.1), *data), expected, rtol=1e-12)


def run_generated(optimizer, source, start, gradients):
    """The same by a generated module's update, run as plain Python."""
    module, theta = plain(source), start.copy()
    state = np.zeros((len(module.STATE), ENTRIES))
    hyper = np.array([optimizer.values[name] for name in module.HYPER])
    trace = []
    for step, gradient in enumerate(gradients, start=1):
        module.update(theta, gradient.copy(), state, hyper, step)
        trace.append(theta.copy())
    return np.array(trace)


@pytest.mark.parametrize("target", ["numpy", "cpu"])
@pytest.mark.parametrize(
    "make",
    [*(ours for ours, _ in CASES), *(functools.partial(SGD, schedule, 0.5) for schedule, _ in SCHEDULES)],
    ids=lambda make: repr(make()),
)
def test_the_generated_update_is_that_of_the_equations(make, target, data):
    net = Sequential([Dense(1)], (ENTRIES - 1,), loss=SquaredError())
    optimizer = make()
    source = generate(net, target=target, dtype="float64", optimizer=optimizer).source
    np.testing.assert_allclose(run_generated(optimizer, source, *data), run(optimizer, *data), rtol=1e-12)
    # Its numbers can be changed without another module.
    optimizer.set(lr=0.05)
    np.testing.assert_allclose(run_generated(optimizer, source, *data), run(optimizer, *data), rtol=1e-12)


def test_schedules_as_numbers():
    assert [Constant(0.5)(t) for t in (1, 9)] == [0.5, 0.5]
    assert [WarmUp(4, 0.4)(t) for t in range(1, 7)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4, 0.4])
    cosine = Cosine(1.0, 10, 0.2)
    assert [cosine(t) for t in (1, 6, 11, 500)] == pytest.approx([1.0, 0.6, 0.2, 0.2])
    assert StepDecay(1.0, 3, 0.1)(7) == pytest.approx(0.01)


def test_a_schedule_of_ones_own(data):
    class InverseRoot(Schedule):
        def rate(self, t, hyper):
            return hyper("lr", self.lr) / sympy.sqrt(t)

    start, gradients = data
    expected = start - np.cumsum(0.2 / np.sqrt(np.arange(1, STEPS + 1))[:, None] * gradients, axis=0)
    np.testing.assert_allclose(run(SGD(InverseRoot(0.2)), *data), expected, rtol=1e-12)
    np.testing.assert_allclose(run(SGD(lambda t: 0.2 / sympy.sqrt(t)), *data), expected, rtol=1e-12)


def test_an_optimizer_of_ones_own(data):
    class SignSGD(Optimizer):
        """Bernstein et al. 2018."""

        def __init__(self, lr=0.01):
            super().__init__(lr)
            self.assign(self.theta, self.theta[self.q] - self.lr * sympy.sign(self.g))

    start, gradients = data
    expected = start - 0.3 * np.cumsum(np.sign(gradients), axis=0)
    np.testing.assert_allclose(run(SignSGD(0.3), *data), expected, rtol=1e-12)


def test_hyper_parameters_can_be_changed_and_are_not_in_the_equations(data):
    optimizer = Adam(Cosine(0.1, 20), weight_decay=0.3)
    expected = ["lr_min", "steps", "lr", "weight_decay", "beta1", "beta2", "eps"]
    assert list(optimizer.values) == expected
    before = optimizer.equations
    optimizer.set(lr=0.7, beta1=0.5)
    assert optimizer.values["lr"] == 0.7
    assert optimizer.equations == before
    assert {t.name for e in before for t in e.reads} <= {*expected, "theta", "g", "m", "v", "t"}
    np.testing.assert_allclose(
        run(optimizer, *data), run(Adam(Cosine(0.7, 20), beta1=0.5, weight_decay=0.3), *data), rtol=1e-15
    )


def test_the_update_can_be_printed():
    assert str(SGD(0.1)).replace("θ", "theta") == "theta[q] ← theta[q] - lr g[q]"
    latex = SGD(StepDecay(0.1, 5), momentum=0.9).latex()
    assert r"\leftarrow" in latex
    assert r"\eta_t &=" in latex
    assert "floor" in latex
    assert repr(SGD(0.1, 0.9)) == "SGD(lr=0.1, momentum=0.9)"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD(-0.1), DataError, "lr must be a number of at least 0, found -0.1"),
        (lambda: SGD("0.1"), DataError, "lr must be a number"),
        (lambda: SGD(float("nan")), DataError, "lr must be a number"),
        (lambda: SGD(0.1, momentum=1.0), DataError, "momentum must be a number of at least 0 and less than 1"),
        (lambda: SGD(0.1, nesterov=True), DataError, "nesterov needs momentum"),
        (lambda: Adam(beta2=1.5), DataError, "beta2 must be"),
        (lambda: Adam(eps=-1), DataError, "eps must be"),
        (lambda: AdamW(weight_decay=-1), DataError, "weight_decay must be"),
        (lambda: StepDecay(0.1, 0), DataError, "every must be a number of at least 1"),
        (lambda: SGD(lambda t: sympy.Symbol("c") * t), DataError, "expected an expression in the step t alone"),
        (lambda: SGD(0.1).set(momentum=0.9), UndefinedError, "SGD has no 'momentum' to set; it has lr"),
        (lambda: SGD(0.1).set(lr=float("inf")), DataError, "lr must be one finite number"),
        (lambda: SGD(0.1).state("lr"), NameTakenError, "'lr' is taken"),
        (lambda: SGD(0.1).assign(SGD(0.1).step, 0), UndefinedError, "t is not a state of SGD"),
        (lambda: Optimizer(0.1).assign(Optimizer(0.1).theta, sympy.Symbol("c")), UndefinedError, "c in the equation"),
    ],
)  # fmt: skip
def test_bad_input_says_what_to_mend(make, error, message):
    with pytest.raises(error, match=message):
        make()
