"""Generated source that is kept: what makes another declaration of it, and what happens where it is damaged."""

from __future__ import annotations

import copy
import hashlib
import os
import shutil
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import sympy
from random_networks import random_network

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.runtime import cache, kept_sources
from gradloom.runtime.declaration import declaration_digest
from gradloom.symbolic.network import Network

RUN = """
    import sys
    import numpy as np
    import gradloom as gl
    if len(sys.argv) > 1:
        def derive(*_): raise AssertionError("derived")
        real, gl.Network.derive = gl.Network.derive, derive
    net = gl.Sequential([gl.layers.Dense(3, gl.sigmoid), gl.layers.Dropout(0.1), gl.layers.Dense(2)], input_shape=5,
                        loss=gl.losses.SquaredError())
    model = gl.Model(net, seed=3, target="numpy")
    rng = np.random.default_rng(0)
    x, y = rng.random((7, 5)), rng.random((7, 2))
    model.fit(x, y, epochs=2, batch=3, optimizer=gl.optimizers.Adam(lr=0.1, clip_norm=1.0), progress=False)
    if len(sys.argv) > 1:
        assert "gradloom.codegen.generate" not in sys.modules
        gl.Network.derive = real
    print(model.params.flat.tobytes().hex(), net.derive()["W1"], model.program.source.count("def "))
"""


@pytest.fixture
def own_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADLOOM_CACHE_DIR", str(tmp_path / "kernels"))
    return tmp_path / "kernels"


def run(directory, *arguments, seed="0"):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(RUN), *arguments],
        env={**os.environ, "GRADLOOM_CACHE_DIR": str(directory), "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_second_process_neither_derives_nor_generates(tmp_path):
    first = run(tmp_path, seed="1")
    assert run(tmp_path, "again", seed="2") == first
    assert "∂L/∂W1" in first


def declare(
    *,
    name="net",
    width=3,
    features=5,
    activation=gl.sigmoid,
    loss=None,
    letters="b i k",
    note="",
    latex=None,
    constant=0.5,
    scale=2,
    role="input",
    frozen=(),
    fact=None,
    inference=False,
    held=False,
    state=False,
    output=None,
    init=None,
):
    """A small network, each part of which can be another."""
    net = gl.Network(name)
    B = gl.dims("B")
    b, i, k = gl.indices(letters)
    x, y = getattr(net, role)("x", (B, features)), net.target("y", (B, width), one_hot=fact is not None)
    W, c = net.parameter("W", (width, features), latex=latex, init=init), net.constant("c", constant)
    if state:
        net.after_step(net.state("s", width).name, i, gl.Sum(y[b, i], b) + 1) if state == 1 else net.state("s", width)
    sum_ = gl.Sum(W[i, k] * x[b, k], k)
    z = net.define("z", (b, i), gl.held(sum_) + sum_ if held else sum_, note=note)
    other = activation(z[b, i]) / 2 if inference else None
    a = net.define("a", (b, i), activation(z[b, i]), inference=other)
    net.minimize(loss(a, y, (b, i)) if loss else c * gl.Sum((a[b, i] - y[b, i]) ** scale, b, i) / B)
    net.freeze(*frozen)
    if output:
        net.set_output(output)
    return net


def magnitudes(a, y, letters):
    return gl.Sum(abs(a[letters] - y[letters]), *letters)


def named(formula, name="mine"):
    return gl.elementwise(name, formula)


def third(z):
    return z**3


CHANGES = {
    "name": {"name": "other"},
    "shape of a parameter": {"width": 7},
    "shape of an input": {"features": 11},
    "function": {"activation": gl.tanh},
    "function of one's own": {"activation": named(third)},
    "the same formula by another name": {"activation": named(third, "yours")},
    "the same name for another formula": {"activation": named(lambda z: z**5)},
    "the name of ours for the same formula": {"activation": named(lambda z: 1 / (1 + sympy.exp(-z)), "sigmoid")},
    "loss": {"loss": magnitudes},
    "letters": {"letters": "b j k"},
    "note": {"note": "seen"},
    "latex": {"latex": "w"},
    "constant": {"constant": 0.25},
    "exponent": {"scale": 4},
    "fraction": {"scale": sympy.Rational(4, 3)},
    "frozen": {"frozen": ("W",)},
    "fact": {"fact": True},
    "inference": {"inference": True},
    "held": {"held": True},
    "a state": {"state": 2},
    "an assignment": {"state": 1},
    "output": {"output": "z"},
}


def digest(network, optimizer=None, options=()):
    found = declaration_digest(network, optimizer, options)
    assert found is not None
    return found


def test_every_part_of_a_declaration_counts():
    digests = {"nothing": digest(declare()), **{what: digest(declare(**change)) for what, change in CHANGES.items()}}
    assert len(set(digests.values())) == len(digests), digests
    for what, change in CHANGES.items():
        assert digest(declare(**change)) == digests[what]


def test_initialisers_stand_in_no_source():
    one, other = declare(init=0.5), declare(init=lambda rng, shape: np.ones(shape))
    assert digest(one) == digest(other)
    assert generate(one, target="numpy").source == generate(other, target="numpy").source


@pytest.mark.parametrize("seed", range(0, 10, 2))
def test_other_source_is_another_digest(seed):
    """Of random networks, declared twice: where sources are equal or not, so are digests."""
    # Not the one that is kept of the first time.
    made = [random_network.__wrapped__(seed + number // 2, most=2) for number in range(4)]
    for one in made:
        del one.network.derive  # which it keeps, and which may be anything
    digests = [digest(one.network, None, [one.sizes]) for one in made]
    sources = [generate(one.network, target="numpy", sizes=one.sizes).source for one in made]
    for place, source in enumerate(sources):
        assert [source == other for other in sources] == [digests[place] == other for other in digests]
    assert digests[0] == digests[1] != digests[2] == digests[3]


def test_a_network_that_was_copied_is_kept_as_before():
    """Copies, and looks at annotations, leave notes of their own in the classes of functions."""
    net = gl.Sequential([gl.layers.Dense(3, gl.silu)], input_shape=2, loss=gl.losses.SquaredError())
    before = digest(net, None, [])
    assert before is not None
    assert gl.silu.__annotations__ == {}
    assert digest(copy.deepcopy(net), None, []) == digest(net, None, []) == before


def test_every_part_of_an_optimizer_counts():
    net, opt, sch = declare(), gl.optimizers, gl.schedules
    made = [
        None,
        opt.SGD(0.1),
        opt.SGD(0.1, momentum=0.9),
        opt.SGD(0.1, momentum=0.9, nesterov=True),
        opt.SGD(0.1, weight_decay=0.1),
        opt.SGD(0.1, clip_norm=1.0),
        opt.SGD(0.1, clip_value=1.0),
        opt.SGD(sch.Cosine(0.1, 9)),
        opt.SGD(lambda t: 1 / t),
        opt.SGD(lambda t: 2 / t),
        opt.Adam(0.1),
        opt.AdamW(0.1),
        opt.RMSProp(0.1),
    ]
    digests = [digest(net, optimizer) for optimizer in made]
    assert len(set(digests)) == len(made)
    # Numbers that are handed over when it runs are not of the source.
    assert digest(net, opt.SGD(0.2)) == digests[1]
    assert digest(net, opt.SGD(0.2, clip_norm=3.0)) == digests[5]


@pytest.mark.parametrize(
    "options",
    [{"dtype": "float64"}, {"wrt": ["x", "W"]}, {"optimizer": gl.optimizers.SGD(0.1)}, {"target": "cpu"}],
    ids=lambda options: next(iter(options)),
)
def test_every_option_counts(own_directory, options):
    first, other = declare().compile(target="numpy"), declare().compile(**{"target": "numpy", **options})
    assert first.source != other.source
    assert len(list(own_directory.glob("*.made"))) == 2
    assert declare().compile(**{"target": "numpy", **options}).source == other.source
    assert len(list(own_directory.glob("*.made"))) == 2


@pytest.mark.parametrize("options", [{"schedule": {"products": {"*": "loops"}}}, {"checkpoint": 3}], ids=str)
def test_choices_of_the_compiled_target_count(own_directory, options):
    def network():
        return gl.Sequential([gl.layers.RNN(5)], (7, 3), loss=gl.losses.SquaredError())

    assert network().compile(**options).source != network().compile().source
    assert len(list(own_directory.glob("*.made"))) == 2


def test_every_choice_of_a_schedule_counts(own_directory):
    def network():
        layers = [gl.layers.Dense(17, gl.tanh), gl.layers.Dense(5)]
        return gl.Sequential(layers, (11,), loss=gl.losses.CrossEntropy("labels"))

    sources = [network().compile(schedule={"sums": way}).source for way in ("whole", "halves")]
    assert sources[0] != sources[1]
    assert len(list(own_directory.glob("*.made"))) == 2


def test_sizes_count(own_directory):
    def network():
        n = gl.dims("n")
        net = gl.Network()
        w, i = net.parameter("w", n), gl.indices("i")
        net.minimize(gl.Sum(w[i] ** 2, i))
        return net

    sources = [network().compile(target="numpy", sizes={"n": n}).source for n in (3, 5, 3)]
    assert sources[0] == sources[2] != sources[1]
    assert len(list(own_directory.glob("*.made"))) == 2


def test_a_larger_batch_or_rate_generates_nothing(own_directory, monkeypatch):
    declare().compile(target="numpy", optimizer=gl.optimizers.SGD(0.1), batch=30)
    monkeypatch.setattr(Network, "derive", None)
    program = declare().compile(target="numpy", optimizer=gl.optimizers.SGD(0.2), batch=99)
    assert program.optimizer.values == {"lr": 0.2}
    with pytest.raises(TypeError):
        declare(width=7).compile(target="numpy")


def test_what_is_not_spelled_out_is_generated_each_time(own_directory):
    class Mine(sympy.Function):
        def fdiff(self, argindex=1):
            return sympy.Integer(3)

    class Own(gl.Network):
        pass

    assert declaration_digest(declare(activation=Mine), None, ()) is None
    assert declaration_digest(Own(), None, ()) is None
    assert declaration_digest(gl.Network(), None, [sympy.Dummy()]) is None
    assert declaration_digest(gl.Network(), None, [object()]) is None


def damage_note(directory):
    (note,) = directory.glob("*.made")
    note.write_bytes(b"\xff\x00 nothing")


def damage_module(directory):
    (module,) = directory.glob("*.py")
    module.write_text(module.read_text().replace("0.5", "0.75") + "raise RuntimeError('tampered')\n")


def remove_module(directory):
    for module in directory.glob("*.py"):
        module.unlink()


def foreign_note(directory):
    """A note of the same declaration beside a module that is no module of ours."""
    (note,) = directory.glob("*.made")
    source = b"raise RuntimeError('foreign')\n"
    origin = note.name.partition("-")[2]
    (directory / "0000.py").write_bytes(b"raise RuntimeError('other')\n")
    (directory / f"0000-{origin}").write_bytes(hashlib.sha256(source).hexdigest().encode())
    (directory / f"0001-{origin}").write_bytes(b"")
    note.unlink()


def folder_for_note(directory):
    (note,) = directory.glob("*.made")
    note.unlink()
    (directory / f"0000-{note.name.partition('-')[2]}").mkdir()


@pytest.mark.parametrize("damage", [damage_note, damage_module, remove_module, foreign_note, folder_for_note])
def test_what_is_damaged_is_made_anew(own_directory, damage):
    program = declare().compile(target="numpy")
    for name in [name for name in sys.modules if name.startswith(cache.MODULE_PREFIX)]:
        del sys.modules[name]
    damage(own_directory)
    again = declare().compile(target="numpy")
    assert again.source == program.source
    W, x, y = (np.random.default_rng(1).random(shape) for shape in [(3, 5), (7, 5), (7, 3)])
    first, other = program.loss_and_gradients({"W": W}, x, y), again.loss_and_gradients({"W": W}, x, y)
    assert first[0] == other[0]
    np.testing.assert_array_equal(first[1]["W"], other[1]["W"])


def test_code_that_generates_counts(tmp_path):
    package = tmp_path / "package"
    for folder in ("symbolic", "codegen", "templates"):
        shutil.copytree(kept_sources.PACKAGE / folder, package / folder)
    early = time.time() - 10**6
    files = [path for path in package.rglob("*") if path.is_file()]

    def found():
        for path in files:
            os.utime(path, (early, early))
        return kept_sources.generator_digest.__wrapped__(package)

    first = found()
    assert first == found() is not None
    for name in ("symbolic/compact.py", "codegen/carried/contraction.py", "codegen/fuse.py", "templates/cpu.py.j2"):
        with open(package / name, "a") as file:
            file.write("\n")
        other = found()
        assert other != first
        first = other
    # A file that was written after this process began may not be what it read.
    os.utime(package / "codegen" / "fuse.py")
    assert kept_sources.generator_digest.__wrapped__(package) is None


def test_versions_count(monkeypatch):
    first = kept_sources.generator_digest.__wrapped__()
    assert first is not None
    versions = kept_sources.importlib.metadata.version
    for name in ("sympy", "jinja2", "mpmath"):
        monkeypatch.setattr(
            kept_sources.importlib.metadata, "version", lambda asked, name=name: versions(asked) + "x" * (asked == name)
        )
        assert kept_sources.generator_digest.__wrapped__() not in (first, None)
    monkeypatch.setattr(kept_sources.importlib.metadata, "version", versions)
    monkeypatch.setattr(kept_sources.platform, "python_version", lambda: "3.99.0")
    assert kept_sources.generator_digest.__wrapped__() not in (first, None)


def test_generating_changes_nothing_in_the_declaration():
    """What is asked of a network later does not depend on whether its source was kept."""
    net = declare(inference=True, state=1)
    before = digest(net)
    generate(net, target="numpy", optimizer=gl.optimizers.Adam())
    assert digest(net) == before


def test_notes_go_with_their_entries(tmp_path):
    from gradloom.runtime.cache_space import CacheSpace

    space = CacheSpace(tmp_path, max_entries=1)
    space.put("aa", "first")
    space.note("aa", "origin", b"content")
    assert space.notes("origin") == [("aa", b"content")]
    for notes in (tmp_path / "in-use").iterdir():
        notes.unlink()
    CacheSpace(tmp_path, max_entries=1).put("bb", "second")
    assert space.notes("origin") == []
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [".lock", "bb.py"]
