"""Modules read from PyTorch: the same outputs, losses and gradients, in float64; what cannot be read is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import gradloom as gl
from gradloom.symbolic.errors import UndefinedError, UnsupportedError

MODULES = {
    "perceptron": (lambda: [nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3), nn.Softmax(-1)], None, (5,)),
    "no bias, slopes": (
        lambda: [nn.Linear(5, 7, bias=False), nn.LeakyReLU(0.2), nn.Linear(7, 5), nn.LeakyReLU(), nn.ELU(0.5)],
        None,
        (5,),
    ),
    "activations": (
        lambda: [nn.Linear(5, 5), nn.Sigmoid(), nn.SiLU(), nn.GELU(), nn.GELU("tanh"), nn.ELU(), nn.Identity(),
                 nn.Softplus(), nn.ReLU(), nn.LogSoftmax(1)],
        None, (5,),
    ),
    "images": (
        lambda: [
            nn.Sequential(nn.Conv2d(2, 4, (3, 2), stride=2, padding=1, groups=2), nn.BatchNorm2d(4, momentum=0.3)),
            nn.ReLU(), nn.MaxPool2d(2, 1), nn.Conv2d(4, 3, 3, padding="same", dilation=2), nn.AvgPool2d((2, 1)),
            nn.Flatten(), nn.Linear(15, 3),
        ],
        (2, 7, 11), (2, 7, 11),
    ),
    "signals": (
        lambda: [nn.Conv1d(2, 4, 3, bias=False), nn.GroupNorm(2, 4), nn.MaxPool1d(2), nn.ConvTranspose1d(4, 3, 3, 2, 1),
                 nn.BatchNorm1d(3, affine=False), nn.AvgPool1d(3), nn.AdaptiveAvgPool1d(1), nn.Flatten()],
        (2, 13), (2, 13),
    ),
    "transposed": (
        lambda: [nn.ConvTranspose2d(2, 3, 3, stride=2, output_padding=1), nn.AdaptiveMaxPool2d(1), nn.Flatten()],
        (2, 5, 3), (2, 5, 3),
    ),
    "normalised": (
        lambda: [nn.Linear(5, 7), nn.LayerNorm(7), nn.Linear(7, 3), nn.LayerNorm(3, bias=False), nn.Dropout(0.0),
                 nn.LayerNorm(3, elementwise_affine=False), nn.BatchNorm1d(3)],
        None, (5,),
    ),
    "RNN": (lambda: [nn.RNN(5, 3, batch_first=True, nonlinearity="relu")], None, (7, 5)),
    "LSTM": (lambda: [nn.LSTM(5, 3, num_layers=2, batch_first=True, bias=False)], None, (7, 5)),
    "GRU": (lambda: [nn.GRU(5, 3, bidirectional=True, batch_first=True), nn.Linear(6, 2)], (7, 5), (7, 5)),
}  # fmt: skip


def of_torch(module, x):
    """What a module gives, where recurrent layers hand all states on."""
    for layer in module:
        x = layer(x)
        x = x[0] if isinstance(x, tuple) else x
    return x


def gradients(module):
    """PyTorch's gradients, in the order and form of ours."""
    for layer in module.modules():
        if isinstance(layer, nn.RNN | nn.LSTM | nn.GRU):
            gates = {"RNN": 1, "LSTM": 4, "GRU": 3}[type(layer).__name__]
            for name, parameter in layer.named_parameters():
                yield from (part.numpy() for part in parameter.grad.chunk(gates) if "bias_hh" not in name)
                if isinstance(layer, nn.GRU) and "bias_hh" in name:
                    yield parameter.grad.chunk(3)[2].numpy()
        elif not isinstance(layer, nn.Sequential):
            yield from (parameter.grad.numpy() for parameter in layer.parameters(recurse=False))


@pytest.mark.parametrize("name", MODULES)
def test_outputs_and_gradients(name):
    torch.manual_seed(3)
    make, input_shape, sample = MODULES[name]
    module = nn.Sequential(*make()).double()
    for parameter in module.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)  # scales of 1 and shifts of 0 would hide
    for buffer in module.buffers():
        buffer.data = buffer + torch.rand_like(buffer) if buffer.is_floating_point() else buffer
    model = gl.from_torch(module, input_shape, loss=gl.losses.SquaredError(), target="numpy")
    assert model.dtype == "float64"
    x = torch.randn(6, *sample).double()
    out = of_torch(module.eval(), x)
    y = torch.randn_like(out)
    np.testing.assert_allclose(model.predict(x.numpy()), out.detach().numpy(), rtol=1e-10, atol=1e-12)
    loss = ((of_torch(module.train(), x) - y) ** 2).sum() / (2 * len(x))
    loss.backward()
    found_loss, found = model.loss_and_gradients(x.numpy(), y.numpy())
    assert abs(found_loss - loss.item()) < 1e-10 * loss.item()
    expected = list(gradients(module))
    trained = {key: value for key, value in found.items() if key not in model.network.frozen}
    # Several of ours may have the same shape: each of PyTorch's must be found once, by its values.
    assert sorted(v.shape for v in trained.values()) == sorted(e.shape for e in expected)
    for key, value in trained.items():
        near = [at for at, other in enumerate(expected) if other.shape == value.shape and close(other, value)]
        assert near, key
        del expected[near[0]]


def close(one, other):
    return np.abs(one - other).max() <= 1e-10 * max(1, np.abs(one).max())


def test_single_precision_and_embeddings():
    torch.manual_seed(4)
    module = nn.Sequential(nn.Embedding(11, 5), nn.Flatten(), nn.Linear(15, 2))
    model = gl.from_torch(module, (3,), target="numpy")
    assert model.dtype == "float32"
    x = torch.randint(0, 11, (7, 3))
    np.testing.assert_allclose(model.predict(x.numpy()), module(x).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_the_model_shares_nothing_and_trains_on():
    torch.manual_seed(5)
    module = nn.Sequential(nn.Linear(5, 3), nn.ReLU(), nn.BatchNorm1d(3, affine=False), nn.Linear(3, 1))
    model = gl.from_torch(module, loss=gl.losses.SquaredError(), target="numpy", name="read")
    before = module[0].weight.detach().clone()
    x = np.random.default_rng(0).normal(size=(53, 5))
    first = model.evaluate(x, x[:, :1])["loss"]
    model.fit(x, x[:, :1], epochs=60, batch=10, optimizer=gl.optimizers.Adam(lr=0.05))
    assert model.evaluate(x, x[:, :1])["loss"] < first / 2
    assert torch.equal(module[0].weight, before)
    assert (model.params["gamma2"] == 1).all()  # the module has none: it is not trained
    assert model.network.name == "read"
    assert [str(layer) for layer in model.network.layers] == [
        "Dense(3, relu)",
        "BatchNorm(axis=1)",
        "Dense(1, identity)",
    ]


class Own(nn.Module):
    """A module of one's own: what it holds gives, to itself for attention, or twice what comes in."""

    def __init__(self, inner=None):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return 2 * x if self.inner is None else self.inner(x, x, x)[0]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.Linear(5, 3), nn.Sequential(nn.Hardswish())], r"layer 1\.0 is Hardswish.*supported are .*Linear"),
        ([Own()], "layer 0 is Own, which has no counterpart"),
        ([nn.LSTM(5, 3)], "layer 0, LSTM.*batch_first=False; expected batch_first=True"),
        ([nn.LSTM(5, 3, proj_size=2, batch_first=True)], "proj_size=2; expected 0"),
        ([nn.MaxPool2d(3, padding=1)], "padding=1; expected 0"),
        ([nn.AvgPool2d(3, ceil_mode=True)], "ceil_mode=True; expected False"),
        ([nn.Conv2d(2, 3, 3, padding_mode="circular")], "padding_mode='circular'; expected 'zeros'"),
        ([nn.Linear(5, 3), nn.Softmax(0)], r"dim=0; expected dim=-1"),
        ([nn.LayerNorm((3, 5))], r"normalized_shape=\(3, 5\); expected one axis"),
        ([nn.BatchNorm1d(3, track_running_stats=False)], "track_running_stats=True"),
        ([nn.AdaptiveAvgPool2d(1), nn.ReLU()], "it gives axes of length 1; expected nn.Flatten"),
        ([nn.AdaptiveAvgPool2d((2, 1)), nn.Flatten()], r"output_size=\(2, 1\); expected 1"),
        ([nn.Embedding(5, 3, padding_idx=0)], "padding_idx=0; expected None"),
        ([nn.Flatten(2)], "start_dim=2; expected 1"),
        ([nn.Softplus(threshold=1)], "threshold=1; expected 20 or more"),
    ],
)
def test_what_cannot_be_read_is_named(layers, message):
    with pytest.raises(UnsupportedError, match=message):
        gl.from_torch(nn.Sequential(*layers), (5,))


def test_what_is_no_module_and_what_has_no_shape():
    with pytest.raises(UndefinedError, match="is no module of PyTorch"):
        gl.from_torch(3)
    with pytest.raises(UndefinedError, match=r"give it, as input_shape=\(3, 32, 32\)"):
        gl.from_torch(nn.Conv2d(2, 3, 3))


def test_one_activation_that_stands_in_two_places():
    relu, x = nn.ReLU(), torch.randn(7, 5)
    module = nn.Sequential(nn.Linear(5, 11), relu, nn.Linear(11, 3), relu)
    model = gl.from_torch(module, target="numpy")
    np.testing.assert_allclose(model.predict(x.numpy()), module(x).detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ([nn.Linear(5, 3), nn.Softmax(1)], (7, 5)),
        ([nn.LSTM(5, 3, batch_first=True), nn.Linear(3, 2), nn.LogSoftmax(1)], None),
        ([nn.Embedding(11, 5), nn.Linear(5, 3), nn.Softmax(1)], None),
        ([nn.Softmax()], (7, 5)),
    ],
)
def test_a_softmax_along_time_is_not_one_along_features(layers, shape):
    with pytest.raises(UnsupportedError, match=r"dim=.*; expected dim=-1, the last axis"):
        gl.from_torch(nn.Sequential(*layers), shape)
    layers[-1] = nn.Softmax(2)
    assert gl.from_torch(nn.Sequential(*layers), shape, target="numpy").network.layers


def test_parameters_of_two_layers_are_refused():
    tied, other = nn.Linear(5, 5), nn.Linear(5, 5)
    other.weight = tied.weight
    with pytest.raises(UnsupportedError, match=r"layer 1, .* shares its weight with layer 0; expected parameters of"):
        gl.from_torch(nn.Sequential(tied, other))
    with pytest.raises(UnsupportedError, match=r"layer 2, .* shares its weight with layer 0"):
        gl.from_torch(nn.Sequential(tied, nn.Tanh(), tied))


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_hooks_that_compute_something_else_are_refused():
    norm = nn.utils.weight_norm(nn.Linear(5, 3))
    doubled = nn.Linear(5, 3)
    doubled.register_forward_hook(lambda module, given, made: 2 * made)
    for layer in (norm, doubled):
        with pytest.raises(UnsupportedError, match="layer 1 has hooks"):
            gl.from_torch(nn.Sequential(nn.Linear(5, 5), layer))
    nn.utils.remove_weight_norm(norm)
    assert gl.from_torch(nn.Sequential(norm), target="numpy").network.layers


# ---- what is not trained, and transformers ---------------------------------------------------------------------------

FROZEN = {
    "weights and biases": (
        lambda: [nn.Linear(5, 7), nn.LayerNorm(7), nn.Linear(7, 3, bias=False)],
        ["0.weight", "1.bias", "2.weight"], {"W1", "beta2", "W3"}, (5,),
    ),
    "a table": (lambda: [nn.Embedding(11, 5), nn.LSTM(5, 3, batch_first=True)], ["0.weight"], {"E1"}, (7,)),
    "one of two biases": (
        lambda: [nn.GRU(5, 3, batch_first=True)], ["0.weight_hh_l0", "0.bias_ih_l0"], {"Ur1", "Uu1", "Un1", "bn1"},
        (7, 5),
    ),
    "both, in reverse": (
        lambda: [nn.RNN(5, 3, batch_first=True, bidirectional=True)],
        ["0.weight_ih_l0_reverse", "0.bias_ih_l0_reverse", "0.bias_hh_l0_reverse"], {"W1_2", "b1_2"}, (7, 5),
    ),
    "attention": (
        lambda: [nn.TransformerEncoderLayer(6, 2, 11, dropout=0.0, batch_first=True)],
        ["0.self_attn.in_proj_weight", "0.self_attn.in_proj_bias", "0.linear2.bias", "0.norm1.weight"],
        {"Wq1_1", "Wk1_1", "Wv1_1", "bq1_1", "bv1_1", "b3_2", "gamma2"}, (7, 6),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FROZEN)
def test_what_pytorch_does_not_train_stays(name):
    """Names by hand, and that a step moves all others and none of these."""
    make, names, expected, sample = FROZEN[name]
    torch.manual_seed(7)
    module = nn.Sequential(*make()).double()
    for key, parameter in module.named_parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
        parameter.requires_grad = key not in names
    model = gl.from_torch(module, sample, loss=gl.losses.SquaredError(), target="numpy")
    assert model.network.frozen == expected
    before = {key: value.copy() for key, value in model.params.items()}
    rng = np.random.default_rng(5)
    x = rng.integers(0, 11, (17, *sample)) if name == "a table" else rng.normal(size=(17, *sample))
    model.fit(x, rng.normal(size=model.predict(x).shape), epochs=1, progress=False)
    assert {key for key, value in model.params.items() if np.array_equal(value, before[key])} == expected


BLOCKS = {
    "normalised before": lambda: nn.TransformerEncoderLayer(
        6, 3, 5, dropout=0.0, activation="gelu", batch_first=True, norm_first=True, layer_norm_eps=1e-3
    ),
    "without biases": lambda: nn.TransformerEncoderLayer(6, 2, 11, dropout=0.0, batch_first=True, bias=False),
    "of two": lambda: nn.TransformerEncoder(
        nn.TransformerEncoderLayer(6, 2, 11, dropout=0.0, batch_first=True), 2, nn.LayerNorm(6)
    ),
    "attention": lambda: Own(nn.MultiheadAttention(6, 3, batch_first=True)),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_transformers(name):
    """Outputs, and gradients by the sum of their squares: matrices are cut into heads here."""
    torch.manual_seed(11)
    module = BLOCKS[name]().double()
    for parameter in module.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    read = module.inner if isinstance(module, Own) else module
    model = gl.from_torch(read, (7, 6), loss=gl.losses.SquaredError(), target="numpy")
    x = torch.randn(5, 7, 6).double()
    out = module.train()(x)  # in inference PyTorch has other kernels
    y = torch.randn_like(out)
    np.testing.assert_allclose(model.predict(x.numpy()), out.detach().numpy(), rtol=1e-10, atol=1e-12)
    ((out - y) ** 2).sum().div(2 * len(x)).backward()
    _, found = model.loss_and_gradients(x.numpy(), y.numpy())
    trained = [value for key, value in found.items() if key not in model.network.frozen]
    expected = sum(float((parameter.grad**2).sum()) for parameter in module.parameters())
    np.testing.assert_allclose(sum(float((value**2).sum()) for value in trained), expected, rtol=1e-9)


def test_dropout_of_a_transformer_is_that_of_its_layers():
    layer = nn.TransformerEncoderLayer(6, 2, 11, dropout=0.3, batch_first=True)
    with pytest.raises(UnsupportedError, match=r"dropout=0\.3 of attention's weights has no counterpart; expected 0"):
        gl.from_torch(layer, (7, 6))
    layer.self_attn.dropout = 0.0
    model = gl.from_torch(nn.Sequential(layer), target="numpy")
    assert [tensor.name for tensor in model.network.noises] == ["u1_2", "u3_2", "u3_4"]
    assert str(model.network.inputs[0].shape) == "(B, T, 6)"


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.MultiheadAttention(6, 2), "batch_first=False; expected batch_first=True"),
        (nn.MultiheadAttention(6, 2, batch_first=True, kdim=5), "kdim, vdim, add_bias_kv or add_zero_attn is set"),
        (nn.TransformerEncoderLayer(6, 2, 5, 0.0, nn.SiLU(), batch_first=True), "activation=SiLU.*expected 'relu' or"),
        (nn.TransformerDecoderLayer(6, 2, 5), "is TransformerDecoderLayer, which has no counterpart"),
    ],
)
def test_attention_that_cannot_be_read(layer, message):
    with pytest.raises(UnsupportedError, match=message):
        gl.from_torch(layer, (7, 6))
