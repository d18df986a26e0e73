"""Networks inside of PyTorch: gradcheck, the same mathematics in plain PyTorch, and what autograd may ask for."""

import copy
import doctest
import importlib
import io
import sys
import threading
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
import sympy
import torch
from everyday import daily
from torch.autograd import forward_ad, gradcheck

import gradloom as gl
from gradloom.model_file import load_model_file
from gradloom.runtime.torch_function import shared_buffer

EXAMPLES = Path(__file__).parent.parent / "examples"
mish = gl.elementwise("mish_of_test", lambda z: z * gl.tanh(gl.softplus(z)))


def tensor(*shape, grad=True, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, requires_grad=grad)


def focal():
    """A loss with weights for its classes, which are a parameter."""
    net = gl.Network("focal")
    B, c = gl.dims("B c")
    i, j = gl.indices("i j")
    z, y, w = net.input("z", (B, c)), net.target("y", (B, c)), net.parameter("w", (c,))
    p = net.define("p", (i, j), gl.softmax(z[i, j], j))
    net.minimize(gl.Sum(-w[j] * y[i, j] * (1 - p[i, j]) ** 2 * sympy.log(p[i, j]), i, j) / B)
    return net


def plain_focal(z, y, w):
    p = z.softmax(1)
    return -(w * y * (1 - p) ** 2 * p.log()).sum() / len(z)


def vector_softmax():
    """An output without a batch: its product with the cotangent stands in the adjoint too."""
    net = gl.Network("weights")
    n = gl.dims("n")
    i = gl.indices("i")
    s = net.parameter("s", (n,))
    net.define("p", (i,), gl.softmax(s[i], i))
    return net


def dense_mish(loss=None):
    return gl.Sequential([gl.layers.Dense(5, mish)], input_shape=3, loss=loss)


CASES = {
    "focal": lambda: (focal(), None, [tensor(7, 5), torch.rand(7, 5).double().requires_grad_(), tensor(5)]),
    "two outputs": lambda: (focal(), ["p", "L"], [tensor(7, 5), torch.rand(7, 5).double(), tensor(5)]),
    "vector softmax": lambda: (vector_softmax(), None, [tensor(5)]),
    "dense": lambda: (dense_mish(), None, [tensor(7, 3), tensor(5, 3), tensor(5)]),
    "convolution": lambda: (
        gl.Sequential([gl.layers.Conv2D(2, 3, activation=gl.tanh)], input_shape=(3, 5, 7)),
        None,
        [tensor(2, 3, 5, 7), tensor(2, 3, 3, 3), tensor(2)],
    ),
    "lstm": lambda: (
        gl.Sequential([gl.layers.LSTM(2)], input_shape=(5, 3)),
        None,
        [
            tensor(3, 5, 3),
            *(tensor(2, 3) for _ in range(4)),
            *(tensor(2, 2) for _ in range(4)),
            *(tensor(2) for _ in range(4)),
        ],
    ),
    "one-hot cross-entropy": lambda: (
        gl.Sequential([gl.layers.Activation(gl.identity)], input_shape=5, loss=gl.losses.CrossEntropy()),
        None,
        [tensor(7, 5), torch.eye(5, dtype=torch.float64)[torch.randint(5, (7,))].requires_grad_()],
    ),
    "labels": lambda: (
        gl.Sequential([gl.layers.Dense(5)], input_shape=3, loss=gl.losses.CrossEntropy(targets="labels")),
        None,
        [tensor(7, 3), torch.randint(5, (7,)), tensor(5, 3), tensor(5)],
    ),
}


@pytest.mark.parametrize("target", daily(["numpy", "cpu"], "numpy"))
@pytest.mark.parametrize("name", daily(CASES, "focal", "dense", "lstm", "labels"))
def test_gradcheck(name, target, request):
    if target == "cpu":
        request.getfixturevalue("without_compiler")
    torch.manual_seed(0)
    network, outputs, arguments = CASES[name]()
    function = gl.torch.function(network, outputs, target=target)
    order = [t.name for t in function.pullback.arguments]
    if name == "lstm":  # by name: the order of declaration is that of the gates
        shapes = {
            t.name: [int(s) for s in t.shape[1 if t.role == "input" else 0 :]] for t in function.pullback.arguments
        }
        arguments = [tensor(*([3] if n == "x" else []), *shapes[n]) for n in order]
    assert len(order) == len(arguments)
    assert gradcheck(function, arguments)


def test_the_examples_own_layer_and_loss():
    """Compiled; the network is that of the example, with its layer, its activation and its loss."""
    network = load_model_file(str(EXAMPLES / "own_layer_and_loss.py")).network
    torch.manual_seed(1)
    function = gl.torch.function(network)
    arguments = {
        t.name: tensor(*([7] if t.role == "input" else []), *map(int, t.shape[t.role == "input" :]))
        for t in function.pullback.arguments
    }
    assert gradcheck(lambda *given: function(**dict(zip(arguments, given, strict=True))), list(arguments.values()))


@pytest.mark.slow
def test_batches_of_any_size_need_one_compilation():
    function, layer = gl.torch.function(focal()), gl.torch.function(dense_mish())
    for dtype, close in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        for rows in (1, 7, 13):
            z, w = tensor(rows, 5, dtype=dtype), tensor(5, dtype=dtype)
            y = torch.rand(rows, 5, dtype=dtype)
            torch.testing.assert_close(function(z, y, w), plain_focal(z, y, w), rtol=close, atol=close)
            found = torch.autograd.grad(3 * function(z, y, w), [z, w])
            expected = torch.autograd.grad(3 * plain_focal(z, y, w), [z, w])
            torch.testing.assert_close(found, expected, rtol=close, atol=close)
            x, W, b = tensor(rows, 3, dtype=dtype), tensor(5, 3, dtype=dtype), tensor(5, dtype=dtype)
            bar = torch.randn(rows, 5, dtype=dtype)
            plain = torch.nn.functional.mish(torch.nn.functional.linear(x, W, b))
            found, expected = (torch.autograd.grad(out, [x, W, b], bar) for out in (layer(x, W, b), plain))
            torch.testing.assert_close(found, expected, rtol=10 * close, atol=10 * close)
    for one in (function, layer):
        assert len(one.pullback._compiled) == 2  # one for each type


def test_training_inside_of_a_model_is_that_of_plain_pytorch():
    loss = gl.Network("log_cosh_of_rows")
    B, c = gl.dims("B c")
    i, j = gl.indices("i j")
    a, y = loss.input("a", (B, c)), loss.target("y", (B, c))
    loss.minimize(gl.Sum(sympy.log(sympy.cosh(a[i, j] - y[i, j])), i, j) / B)
    ours = gl.torch.function(loss)

    class Mish(torch.nn.Module):
        def __init__(self, W, b):
            super().__init__()
            self.W, self.b = torch.nn.Parameter(W.detach().clone()), torch.nn.Parameter(b.detach().clone())

        def forward(self, x):
            return torch.nn.functional.mish(torch.nn.functional.linear(x, self.W, self.b))

    torch.manual_seed(2)
    first, last = torch.nn.Linear(7, 3).double(), torch.nn.Linear(5, 2).double()
    inner = gl.torch.Module(dense_mish(), dtype=torch.float64)
    model = torch.nn.Sequential(first, inner, last)
    plain = torch.nn.Sequential(copy.deepcopy(first), Mish(inner.W1, inner.b1), copy.deepcopy(last))
    steps = [torch.optim.Adam(one.parameters(), lr=0.01) for one in (model, plain)]
    X, Y = tensor(13, 7, grad=False), tensor(13, 2, grad=False)
    for _ in range(50):
        losses = (ours(model(X), Y), (plain(X) - Y).cosh().log().sum() / 13)
        for step, value in zip(steps, losses, strict=True):
            step.zero_grad()
            value.backward()
            step.step()
        assert abs((losses[0] - losses[1]).item()) < 1e-10
    assert losses[0] < 0.7 * ours(torch.zeros_like(Y), Y)
    for one, other in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_only_what_requires_a_gradient_is_differentiated():
    function = gl.torch.function(dense_mish(), target="numpy")
    x, W, b = tensor(7, 3, grad=False), tensor(5, 3), tensor(5, grad=False)
    function(x, W, b).sum().backward()
    assert x.grad is None
    assert b.grad is None
    (kernels,) = function.pullback._compiled.values()
    assert set(kernels.module.gradient_places(7)) == {"W1"}
    with torch.no_grad():
        assert not function(x, W, b).requires_grad
    assert not function(x, W.detach(), b).requires_grad
    assert not any(hasattr(k.module, "backward") for k in list(function.pullback._compiled.values())[1:])


def test_backward_again_after_the_workspace_went_to_another_call():
    layer = gl.torch.function(dense_mish())
    x, W, b = tensor(7, 3), tensor(5, 3), tensor(5)
    out = layer(x, W, b)
    first = torch.autograd.grad(out.sum(), [x, W, b], retain_graph=True)
    other = layer(tensor(11, 3), W, b)
    second = torch.autograd.grad(out.sum(), [x, W, b])
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))
    kept = other.detach().clone()
    other.relu_()  # what was handed out is the caller's to change
    assert torch.equal(other, kept.relu())
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(out.sum(), [x])


def test_tensors_are_read_where_they_lie_and_copied_where_they_must():
    layer = gl.torch.function(dense_mish())
    x, W, b = tensor(7, 3), tensor(5, 3), tensor(5)
    plan = layer.pullback.plan([(7, 3), (5, 3), (5,)], "float64", (0,))
    (array,) = layer.data(plan, [x, W, b])
    assert array.__array_interface__["data"][0] == x.data_ptr()
    odd = tensor(3, 14)[:, ::2].t()
    assert not odd.is_contiguous()
    torch.testing.assert_close(layer(odd, W, b), torch.nn.functional.mish(odd @ W.t() + b))
    spread = x[:1].expand(7, 3)
    torch.testing.assert_close(layer(spread, W.t().contiguous().t(), b), torch.nn.functional.mish(spread @ W.t() + b))
    out = layer(x, W, b).sum()
    with torch.no_grad():
        W.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()


def test_a_module_keeps_its_parameters_in_one_buffer():
    network = gl.Sequential([gl.layers.Dense(5, gl.tanh), gl.layers.Dense(2)], input_shape=3)
    network.freeze("b1")
    module = gl.torch.Module(network, target="numpy", seed=3)
    assert [name for name, _ in module.named_parameters()] == ["W1", "b1", "W2", "b2"]
    assert not module.b1.requires_grad

    def buffer(one):
        function = one._functions[True]
        own = [getattr(one, name) for name in function.arguments[1:]]
        places = [(3, 3), *(tuple(p.shape) for p in own)]
        plan = function.pullback.plan(places, str(own[0].dtype).removeprefix("torch."), ())
        return shared_buffer(own, function.arguments[1:], plan)

    x = tensor(3, 3)
    for one in (module, copy.deepcopy(module), copy.deepcopy(module).double()):
        flat = buffer(one)
        flat[:] = np.arange(len(flat))
        assert one.W1[0, 2] == 2
        moved = copy.deepcopy(one).double()
        moved.W2 = torch.nn.Parameter(moved.W2.detach().clone())  # elsewhere: copied for each call
        assert buffer(moved) is None
        torch.testing.assert_close(moved(x), one.double()(x))


def test_parts_of_one_buffer_are_not_taken_for_the_whole():
    """Tensors at the same places, of other sizes, lie elsewhere than kernels of these sizes read."""
    net = gl.Network("scaled")
    B, n, m = gl.dims("B n m")
    i, j, k = gl.indices("i j k")
    x, W, b = net.input("x", (B, n)), net.parameter("W", (m, n)), net.parameter("b", (m,))
    net.define("z", (i, j), gl.Sum(W[j, k] * x[i, k], k) + b[j])
    function = gl.torch.function(net, target="numpy")
    flat, x = tensor(20, grad=False), tensor(7, 3)
    W, b = flat[:15].view(5, 3), flat[15:]
    for rows in (5, 2, 5):
        torch.testing.assert_close(function(x, W[:rows], b[:rows]), x @ W[:rows].T + b[:rows])
    flat.mul_(2)
    torch.testing.assert_close(function(x, W, b), x @ W.T + b)


def test_shared_memory_stays_shared():
    """What another process, or a file descriptor of it, writes is read here: as PyTorch's own modules have it."""
    network = gl.Sequential([gl.layers.Dense(5, gl.tanh), gl.layers.BatchNorm()], input_shape=3)
    module, x = gl.torch.Module(network, target="numpy", dtype=torch.float64), tensor(7, 3, grad=False)
    expected = module.eval()(x)
    assert module.share_memory() is module
    assert all(own.is_shared() for own in module.state_dict().values())
    torch.testing.assert_close(module(x), expected)
    other = ForkingPickler.loads(ForkingPickler.dumps(module))  # as multiprocessing hands it over
    with torch.no_grad():
        other.W1.fill_(2.0)
        other.running_mean2.fill_(3.0)
    assert (module.W1 == 2.0).all()
    assert (module.running_mean2 == 3.0).all()
    assert not copy.deepcopy(module).W1.is_shared()


def test_states_and_files():
    network = gl.Sequential(
        [gl.layers.Dense(5, gl.tanh), gl.layers.Dense(2)], input_shape=3, loss=gl.losses.SquaredError()
    )
    module = gl.torch.Module(network, "z2", seed=5, target="numpy", dtype=torch.float64)
    model = gl.Model(network, seed=5, target="numpy", dtype="float64")
    x, y = tensor(7, 3, grad=False), tensor(7, 2, grad=False)
    assert np.array_equal(module(x).detach().numpy(), model.predict(x.numpy()))
    other = gl.torch.Module(network, "z2", seed=None, target="numpy", dtype=torch.float64)
    assert not torch.equal(other(x), module(x))
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(x), module(x))
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(x), module(x))
    model.fit(x.numpy(), y.numpy(), epochs=3, progress=False)
    assert np.array_equal(gl.torch.Module.from_model(model, "z2")(x).detach().numpy(), model.predict(x.numpy()))
    whole = gl.torch.Module.from_model(model)
    assert whole(x, y).item() == pytest.approx(model.evaluate(x.numpy(), y.numpy())["loss"])
    back = whole.to_model()
    assert np.array_equal(back.predict(x.numpy()), model.predict(x.numpy()))
    with pytest.raises(gl.DataError, match="y is not given"):
        whole(x)
    with pytest.raises(gl.DataError, match="q is no argument"):
        whole(x, q=y)
    with pytest.raises(gl.DataError, match="3 arguments"):
        whole(x, y, y)


def test_batch_norm_is_that_of_pytorch():
    module = gl.torch.Module(gl.Sequential([gl.layers.BatchNorm()], input_shape=5), target="numpy", dtype=torch.float64)
    plain = torch.nn.BatchNorm1d(5).double()
    x = tensor(7, 5)
    for _ in range(3):
        bar = torch.randn(7, 5, dtype=torch.float64)
        found, expected = (torch.autograd.grad(one(x), x, bar)[0] for one in (module, plain))
        torch.testing.assert_close(found, expected)
    for _ in range(2):
        torch.testing.assert_close(module.running_mean1, plain.running_mean)
        torch.testing.assert_close(module.running_var1, plain.running_var)
        module.eval()
        plain.eval()
        torch.testing.assert_close(module(3 * x), plain(3 * x))


def test_noise_is_pytorchs():
    network = gl.Sequential([gl.layers.Dropout(0.5)], input_shape=11)
    module = gl.torch.Module(network, target="numpy", dtype=torch.float64)
    x = torch.ones(13, 11, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(7)
    out = module(x)
    assert sorted(set(out.flatten().tolist())) == [0, 2]
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(gradient, out)  # the same noise
    torch.manual_seed(7)
    assert torch.equal(module(x), out)
    assert not torch.equal(module(x), out)
    assert torch.equal(module.eval()(x), x)
    noise = [t.name for t in network.noises]
    function = gl.torch.function(network, target="numpy")
    assert function.arguments == ["x", *noise]
    assert gradcheck(
        lambda x: function(x, torch.rand(13, 11, generator=torch.Generator().manual_seed(1)).double()), [x]
    )


def test_several_threads():
    function = gl.torch.function(focal())
    work = [(tensor(rows, 5), torch.rand(rows, 5).double(), tensor(5)) for rows in (5, 7, 11, 13)]
    expected = [torch.autograd.grad(function(*one), one[0])[0] for one in work]
    wrong = []

    def run(one, other):
        for _ in range(50):
            if not torch.equal(torch.autograd.grad(function(*one), one[0])[0], other):
                wrong.append(one)

    threads = [threading.Thread(target=run, args=pair) for pair in zip(work, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.fixture
def often():
    """Threads take turns far more often than they would."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("target", ["numpy", pytest.param("cpu", marks=pytest.mark.slow)])
def test_threads_share_a_module(target, often):
    """The first call, which compiles, from all at once; other shapes; a graph of another thread; against PyTorch."""
    module = gl.torch.Module(dense_mish(gl.losses.SquaredError()), ["L"], target=target, dtype=torch.float64)
    parameters = list(module.parameters())
    work = [(tensor(rows, 3), torch.rand(rows, 5).double()) for rows in (5, 7, 11, 13)]

    def plain(x, y):
        a = torch.nn.functional.mish(torch.nn.functional.linear(x, *parameters))
        return ((a - y) ** 2).sum() / (2 * len(x))

    expected = [torch.autograd.grad(plain(*one), [one[0], *parameters]) for one in work]
    start, wrong, done = threading.Barrier(len(work)), [], []

    def run(one, other, graphs):
        start.wait()
        for turn in range(30):
            loss = graphs.pop() if turn == 7 and graphs else module(*one)
            for found, known in zip(torch.autograd.grad(loss, [one[0], *parameters]), other, strict=True):
                if not torch.allclose(found, known, rtol=1e-12, atol=1e-14):
                    wrong.append(one)
        done.append(one)

    graphs = [[] for _ in work]
    for _ in range(2):  # the second time with graphs that this thread has made
        threads = [threading.Thread(target=run, args=three) for three in zip(work, expected, graphs, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        graphs = [[module(*one)] for one in work]
    assert not wrong
    assert len(done) == 2 * len(work)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # between any two graphs
def test_compiled_models_leave_it_as_it_is():
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 3), gl.torch.Module(dense_mish(), target="numpy"), torch.nn.Linear(5, 1)
    )
    compiled = torch.compile(model, backend="eager")
    x = tensor(7, 2, dtype=torch.float32)
    torch.testing.assert_close(compiled(x), model(x))
    found, expected = (torch.autograd.grad(one(x).sum(), [x, model[1].W1]) for one in (compiled, model))
    torch.testing.assert_close(found, expected)


@pytest.mark.filterwarnings("ignore:`torch.jit.trace`")
def test_a_trace_keeps_no_outputs_as_constants():
    net = gl.Network("exponential")
    i, x = gl.indices("i"), net.input("x", (7,))
    net.define("z", i, sympy.exp(x[i]))
    function, x = gl.torch.function(net, target="numpy"), tensor(7, grad=False)
    torch.testing.assert_close(function(x), x.exp())
    with pytest.raises(gl.UnsupportedError, match="cannot see into exponential"):
        torch.jit.trace(lambda x: function(x), x)


def test_noise_of_a_module_without_parameters_is_drawn_in_single_precision():
    module = gl.torch.Module(gl.Sequential([gl.layers.Dropout(0.001)], input_shape=1009), target="numpy")
    with torch.autocast("cpu", dtype=torch.bfloat16):  # of which a noise below 1/256 is mostly 0
        found = module(torch.ones(997, 1009, dtype=torch.bfloat16))
    assert (found == 0).double().mean().item() == pytest.approx(0.001, rel=0.1)


def test_negated_views_are_read_as_what_they_are():
    function = gl.torch.function(dense_mish(), target="numpy")
    x, W, b = torch._neg_view(tensor(7, 3, grad=False)), tensor(5, 3), tensor(5)
    assert x.is_neg()
    out, expected = function(x, W, b), function(x.resolve_neg(), W, b)
    assert torch.equal(out, expected)
    bar = torch._neg_view(tensor(7, 5, grad=False))
    assert torch.equal(torch.autograd.grad(out, W, bar)[0], torch.autograd.grad(expected, W, bar.resolve_neg())[0])


@pytest.mark.filterwarnings("ignore:`torch.jit.script`")  # PyTorch's own, on the first dual tensor
def test_tangents_are_refused_and_not_lost():
    function = gl.torch.function(dense_mish(), target="numpy")
    x, W, b = tensor(7, 3, grad=False), tensor(5, 3, grad=False), tensor(5, grad=False)  # none requires a gradient
    with forward_ad.dual_level(), pytest.raises(NotImplementedError, match="forward mode"):
        function(forward_ad.make_dual(x, torch.ones_like(x)), W, b)


def test_what_cannot_be_is_said():
    function = gl.torch.function(focal(), target="numpy")
    z, y, w = tensor(7, 5), torch.rand(7, 5).double(), tensor(5)
    second = torch.autograd.grad(function(z, y, w), z, create_graph=True)[0]
    with pytest.raises(gl.UnsupportedError, match="derived again"):
        (second**2).sum().backward()
    cases = [
        ((z.bfloat16(), y, w), r"z holds torch.bfloat16.*z.float\(\)"),
        ((z, y.float(), w), r"z holds torch.float64 and y torch.float32.*y.to\(torch.float64\)"),
        ((z.to("meta"), y, w), r"z lies on meta.*z.cpu\(\)"),
        ((z.to_sparse(), y, w), "torch.sparse_coo"),
        ((z[:, :3], y, w), r"y has shape \(7, 5\): axis 1"),
        ((z[:3], y, w), "y has 7 rows and z has 3"),
        ((z.cdouble(), y, w), "complex"),
        ((z, y), r"w is not given; focal takes z, y, w"),
        ((z, y, w, w), "4 arguments"),
    ]
    for arguments, message in cases:
        with pytest.raises(gl.DataError, match=message):
            function(*arguments)
    with pytest.raises(gl.SizeError, match="B must be at least 1"):
        function(z[:0], y[:0], w)
    with pytest.raises(gl.DataError, match="given twice"):
        function(z, y, w, w=w)
    scaled = gl.torch.function(gl.Sequential([gl.layers.BatchNorm()], 5), training=False, target="numpy")
    with pytest.raises(gl.UnsupportedError, match=r"running_var1 is a state.*running_var1.detach\(\)"):
        scaled(z, w, w, w.detach(), y[0].requires_grad_())
    with torch.no_grad():
        scaled(z, w, w, w, y[0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = z.detach().bfloat16().requires_grad_()
        function(half, y.float(), w.float()).backward()
        assert half.grad.dtype == torch.bfloat16
    whole = torch.randint(2, (7, 5))
    torch.testing.assert_close(function(z, whole, w), plain_focal(z, whole, w))
    labelled = gl.torch.function(
        gl.Sequential([gl.layers.Dense(5)], 3, loss=gl.losses.CrossEntropy(targets="labels")), target="numpy"
    )
    with pytest.raises(gl.DataError, match="label 5"):
        labelled(tensor(7, 3), torch.full((7,), 5), tensor(5, 3), tensor(5))
    with pytest.raises(gl.UndefinedError, match="outputs: focal has no tensor 'q'"):
        gl.torch.function(focal(), "q")
    with pytest.raises(gl.UndefinedError, match="z is an input"):
        gl.torch.function(focal(), "z")
    with pytest.raises(gl.UnsupportedError, match="cuda"):
        gl.torch.function(focal(), target="cuda")
    with pytest.raises(gl.UnsupportedError, match="float16"):
        gl.torch.Module(dense_mish(), dtype=torch.float16)
    with pytest.raises(gl.SizeError, match="size c"):
        gl.torch.Module(focal())
    taken = gl.Network()
    taken.define("a", (), taken.parameter("half") ** 2)
    with pytest.raises(gl.NameTakenError, match="half"):
        gl.torch.Module(taken)


@pytest.mark.parametrize(("name", "library"), [("torch", "PyTorch"), ("jax", "JAX")])
def test_without_the_library(name, library, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"gradloom.{name}", raising=False)
    monkeypatch.delitem(vars(gl), name, raising=False)
    with pytest.raises(gl.MissingExtraError, match=rf"needs {library}: pip install .gradloom\[{name}\]"):
        getattr(gl, name)


def test_docstring_examples():
    assert doctest.testmod(importlib.import_module("gradloom.torch")).failed == 0
