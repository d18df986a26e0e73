"""Machine code that is kept: in the kernel cache, and beside a module that the command line wrote."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from simulated import SimulatedDevice
from small_models import MODEL, network, run
from test_cuda_compiler import compiled

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.runtime import cache, cubin_files, cuda_compiler, cuda_host, cuda_toolkit
from gradloom.runtime.cache_space import CacheSpace
from gradloom.symbolic.errors import MissingExtraError

CC = (9, 0)


@pytest.fixture(scope="module")
def source():
    return generate(network(), target="cuda", optimizer=gl.optimizers.SGD(lr=0.1)).source


@pytest.fixture
def compiler(monkeypatch, tmp_path):
    """A compiler that notes what it is asked, in the place of the real one, and an empty cache."""
    asked = []

    def compile_ptx(function, kinds, cc, threads):
        asked.append((function.__name__, tuple(kinds), cc, threads))
        return function.__name__

    for module in (cuda_host, cubin_files):
        monkeypatch.setattr(module, "compiler_versions", lambda: {"nvvm": "1"})
        monkeypatch.setattr(module, "compile_ptx", compile_ptx)
        monkeypatch.setattr(
            module, "cubin", lambda ptx, cc: cuda_compiler.Cubin(f"\x7fELF\n{ptx} for {cc}".encode(), ptx)
        )
        monkeypatch.setattr(module, "load_module", lambda source, options: cuda_host.host_module(source))
    monkeypatch.setenv("GRADLOOM_CACHE_DIR", str(tmp_path / "cache"))
    return asked


def machine_code(source):
    return cuda_host.MachineCode(source, {"target": "cuda"})


def test_the_kinds_of_arguments_are_those_of_the_buffers(source):
    host = cuda_host.host_module(source)
    assert cuda_host.kernels_of(source) == [
        "run_forward",
        "run_loss",
        "run_gradients",
        "run_update",
        "run_finite",
        "train",
        "train_in_room",
    ]
    kinds = cuda_host.kinds_of(host, "train", "float32")
    assert list(kinds)[:6] == ["params", "grads", "state", "x", "y", "order"]
    whole = {"order": "int32*", "count": "int32", "batch": "int32", "gate": "int32*"}
    assert {name: kind for name, kind in kinds.items() if kind != "float32*"} == whole


def test_labels_and_noise_have_kinds_of_their_own():
    layers = [gl.layers.Dense(4), gl.layers.Dropout(0.3)]
    net = gl.Sequential(layers, (5,), loss=gl.losses.CrossEntropy("labels"))
    made = generate(net, target="cuda", dtype="float64", optimizer=gl.optimizers.SGD(lr=0.1)).source
    host = cuda_host.host_module(made)
    kinds = cuda_host.kinds_of(host, "train", "float64")
    assert (kinds["seed"], kinds["step"], kinds["y"], kinds["y_rows"]) == ("uint64", "int32", "int32*", "int32*")
    assert kinds["params"] == kinds["x"] == "float64*"


def test_machine_code_is_compiled_once_for_each_kind_of_gpu(source, compiler):
    first = machine_code(source)("train", ["float32*"], 256, CC)
    again = machine_code(source)("train", ["float32*"], 256, CC)
    assert first.code == again.code == b"\x7fELF\ntrain for (9, 0)"
    assert again.name == "train"
    machine_code(source)("train", ["float32*"], 256, (8, 0))
    machine_code(source)("train", ["float32*"], 128, CC)
    machine_code(source)("run_loss", ["float32*"], 256, CC)
    machine_code(source + "\n")("train", ["float32*"], 256, CC)
    assert [(name, cc, threads) for name, _, cc, threads in compiler] == [
        ("train", CC, 256),
        ("train", (8, 0), 256),
        ("train", CC, 128),
        ("run_loss", CC, 256),
        ("train", CC, 256),
    ]


def test_another_compiler_makes_it_again(source, compiler, monkeypatch):
    machine_code(source)("train", ["float32*"], 256, CC)
    monkeypatch.setattr(cuda_host, "compiler_versions", lambda: {"nvvm": "2"})
    machine_code(source)("train", ["float32*"], 256, CC)
    assert len(compiler) == 2


def test_what_is_damaged_is_made_again(source, compiler):
    made = machine_code(source)("train", ["float32*"], 256, CC)
    (path,) = (cache.cache_dir() / "__pycache__").glob("*.cubin")
    content = path.read_bytes()
    assert content == hashlib.sha256(made.code).hexdigest().encode() + b"\n" + made.code
    for damaged in (content[:-1], content[:70] + b"X" + content[71:], b""):
        path.write_bytes(damaged)
        assert machine_code(source)("train", ["float32*"], 256, CC).code == made.code
    assert len(compiler) == 4
    assert path.read_bytes() == content


def test_machine_code_goes_with_its_module(source, compiler):
    machine_code(source)("train", ["float32*"], 256, CC)
    (path,) = (cache.cache_dir() / "__pycache__").glob("*.cubin")
    (entry,) = cache.cache_dir().glob("*.py")
    assert path.name.startswith(entry.stem)
    entry.write_text("another source")
    cache._space().put(entry.stem, source)
    assert not path.exists()


def test_machine_code_in_use_is_not_dropped(source, compiler):
    """By a process that has found it there, and never loads its module; and it is the last to go later."""
    pytest.importorskip("fcntl")
    machine_code(source)("train", ["float32*"], 256, CC)
    directory = cache.cache_dir()
    (entry,) = directory.glob("*.py")
    before = entry.stat().st_mtime_ns
    for notes in (directory / "in-use").iterdir():
        notes.unlink()  # the process that compiled it has ended
    os.utime(entry, ns=(1, before))
    cache._spaces.clear()
    machine_code(source)("train", ["float32*"], 256, CC)
    assert entry.stem in "".join(notes.read_text() for notes in (directory / "in-use").iterdir())
    assert entry.stat().st_atime_ns > 1
    assert entry.stat().st_mtime_ns == before
    CacheSpace(directory, max_entries=1).put("other", "")
    assert entry.exists()


def test_machine_code_counts_as_space(source, tmp_path):
    """Old entries go as soon as it is kept, not when the next module comes."""
    pytest.importorskip("fcntl")
    first = CacheSpace(tmp_path)
    first.put("aa", "")
    os.close(first._notes[2])  # its process has ended
    space = CacheSpace(tmp_path, max_bytes=1000)
    space.put("bb", "")
    assert (tmp_path / "aa.py").exists()
    space.keep("bb", "train.cubin", b"#" * 1001)
    assert not (tmp_path / "aa.py").exists()
    assert space.compiled("bb", "train.cubin") == b"#" * 1001


def test_machine_code_that_others_can_write_is_not_trusted(source, compiler):
    machine_code(source)("train", ["float32*"], 256, CC)
    directory = cache.cache_dir()
    compiled = directory / "__pycache__"
    compiled.chmod(0o777)
    cache._spaces.clear()
    machine_code(source)("train", ["float32*"], 256, CC)  # nobody else gets there
    directory.chmod(0o755)
    cache._spaces.clear()
    with pytest.raises(gl.CacheError, match=r"__pycache__ can be written by every user, .* \(chmod go-w\)"):
        machine_code(source)("train", ["float32*"], 256, CC)


KEEPS = """
import sys
from pathlib import Path
from gradloom.runtime.cache_space import CacheSpace

space = CacheSpace(Path(sys.argv[1]))
space.put("one", "")
for number in range(60):
    space.keep("one", "train.cubin", bytes([number]) * 300_000)
    found = space.compiled("one", "train.cubin")
    assert len(found) == 300_000 and len(set(found)) == 1, len(found)
"""


def test_processes_that_keep_the_same_machine_code(tmp_path):
    command = [sys.executable, "-c", KEEPS, str(tmp_path)]
    for process in [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    assert [path.name for path in (tmp_path / "__pycache__").iterdir()] == ["one.train.cubin"]


# ---- beside a module ---------------------------------------------------------------------------------------------


@pytest.fixture
def written(source, compiler, tmp_path):
    path = tmp_path / "kernels.py"
    path.write_text(source)
    cubin_files.write_cubins(path, source, CC)
    compiler.clear()
    return path


def found(path, cc=CC, kernel="train"):
    """What a GPU is handed of a module's file."""
    taken = []

    class Device(SimulatedDevice):
        def compile(self, function, kinds, threads, shared=0):
            taken.append(function.__globals__["machine_code"](function.__name__, kinds, threads, cc))

        def launch(self, *_):
            pass

    module = cubin_files.load_kernels(path, Device())
    params = np.zeros(66, np.float32)
    x, y = np.zeros((3, 5), np.float32), np.zeros((3, 3), np.float32)
    if kernel == "train":
        module.epoch(params, params.copy(), np.zeros((0, 66)), x, y, np.arange(3), 2, np.array([0.1]), 0, None)
    else:
        module.loss(params, x, y, module.workspace(3))
    return taken[0]


def test_machine_code_beside_a_module_needs_no_compiler(written, compiler, monkeypatch):
    def refuse():
        raise MissingExtraError("no compiler")

    monkeypatch.setattr(cuda_host, "compiler_versions", refuse)
    files = sorted(path.name for path in written.parent.glob("kernels.sm_90.*"))
    names = ["json", *(f"{name}.cubin" for name in sorted(cuda_host.kernels_of(written.read_text())))]
    assert files == [f"kernels.sm_90.{name}" for name in names]
    assert found(written).code == b"\x7fELF\ntrain for (9, 0)"
    assert found(written, kernel="loss").code == b"\x7fELF\nrun_loss for (9, 0)"
    assert found(written, (9, 2)).code == b"\x7fELF\ntrain for (9, 0)"  # of the same major number, and newer
    for cc in ((8, 9), (10, 0)):
        with pytest.raises(MissingExtraError, match=rf"no compiler; or .* --arch sm_{cc[0]}{cc[1]} -o FILE"):
            found(written, cc)
    assert not compiler


@pytest.mark.parametrize("what", ["source", "code", "description", "absent", "not listed"])
def test_machine_code_that_does_not_fit_is_not_used(written, compiler, what):
    code, about = written.with_name("kernels.sm_90.train.cubin"), written.with_name("kernels.sm_90.json")
    described = json.loads(about.read_text())
    if what == "source":
        written.write_text(written.read_text().replace("BLOCKS = ", "BLOCKS = 1 + "))
    elif what == "code":
        code.write_bytes(code.read_bytes()[:-1] + b"!")
    elif what == "description":
        about.write_text("[]")
    elif what == "absent":
        code.unlink()
    else:
        del described["kernels"]["train"]
        about.write_text(json.dumps(described))
    assert found(written).code == b"\x7fELF\ntrain for (9, 0)"
    assert [name for name, *_ in compiler] == ["train"]  # compiled anew


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("source", "kernels.sm_90.json is of another source than the module beside it"),
        ("code", "kernels.sm_90.train.cubin is damaged: it is not what was written"),
        ("description", "kernels.sm_90.json is damaged, or has no kernel train"),
        ("absent", r"kernels.sm_90.train.cubin cannot be read \(No such file or directory\)"),
    ],
)
@pytest.mark.usefixtures("compiler")
def test_without_a_compiler_it_is_said_what_is_wrong(written, monkeypatch, what, said):
    def refuse():
        raise MissingExtraError("no compiler")

    monkeypatch.setattr(cuda_host, "compiler_versions", refuse)
    code, about = written.with_name("kernels.sm_90.train.cubin"), written.with_name("kernels.sm_90.json")
    if what == "source":
        written.write_text(written.read_text().replace("BLOCKS = ", "BLOCKS = 1 + "))
    elif what == "code":
        code.write_bytes(code.read_bytes()[:-1])
    elif what == "description":
        about.write_text("[]")
    else:
        code.unlink()
    with pytest.raises(
        MissingExtraError, match=f"^{said}, and no compiler; or generate the machine code where one is: "
    ):
        found(written)


def test_files_that_are_no_modules(tmp_path):
    with pytest.raises(gl.DataError, match=r"cannot read .*absent\.py"):
        gl.load_kernels(tmp_path / "absent.py", SimulatedDevice())
    (tmp_path / "other.py").write_text("x = 1\n")
    with pytest.raises(gl.DataError, match="is no module that gradloom generate --target cuda wrote"):
        gl.load_kernels(tmp_path / "other.py", SimulatedDevice())


# ---- the command line --------------------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "small.py"
    path.write_text(MODEL)
    return path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--arch", "sm_90", "-o", "k.py"], "--arch names a kind of GPU, but the target is cpu; add --target cuda"),
        (["--target", "cuda", "--arch", "sm_90"], "--arch writes machine code beside the module: add -o FILE.py"),
        (["--target", "cuda", "--arch", "sm_75", "-o", "k.py"], "'sm_75' is not offered; expected sm_80 or newer"),
        (["--target", "cuda", "--arch", "hopper", "-o", "k.py"], "'hopper' is not offered; expected sm_80 or newer"),
    ],
)
def test_bad_architectures(capsys, model, options, said):
    status, out, err = run(capsys, "generate", model, *options)
    assert (status, out) == (2, "")
    assert said in err


def test_without_a_compiler_nothing_is_written(capsys, model, tmp_path, monkeypatch):
    monkeypatch.setattr(cuda_toolkit, "find_spec", lambda name: None)
    options = "--target cuda --arch sm_90 -o".split()
    status, out, err = run(capsys, "generate", model, *options, tmp_path / "kernels.py")
    assert (status, out) == (2, "")
    assert "CUDA kernels need a compiler, which is not installed" in err
    assert not (tmp_path / "kernels.py").exists()


@compiled
def test_the_command_line_writes_machine_code(capsys, model, tmp_path, monkeypatch):
    path = tmp_path / "kernels.py"
    options = "--target cuda --arch sm_80 --arch sm_90 -o".split()
    status, out, err = run(capsys, "generate", model, *options, path)
    assert (status, err) == (0, "")
    assert [line.partition(":")[0] for line in out.splitlines()] == [f"machine code for sm_{n}" for n in (80, 90)]
    taken = found_real(path, monkeypatch)
    assert taken.code.startswith(b"\x7fELF")
    assert b".text.train\0" in taken.code  # the entry that the driver is asked for


def found_real(path, monkeypatch):
    """The machine code of the training kernel, where the compiler must not be asked."""
    monkeypatch.setattr(cuda_host, "compile_ptx", None)
    monkeypatch.setattr(cuda_host, "find_compiled", None)
    source = path.read_text()
    module = cuda_host.device_part(source, {"target": "cuda"}, cubin_files._finder(path, source))
    kinds = list(cuda_host.kinds_of(module, "train", "float32").values())
    return module.machine_code("train", kinds, module.THREADS, CC)


@compiled
def test_what_a_device_compiles_is_kept(source, tmp_path, monkeypatch):
    """With the real compiler: an ELF file with the entry of that name; a second time the compiler is not asked."""
    monkeypatch.setenv("GRADLOOM_CACHE_DIR", str(tmp_path))
    host = cuda_host.device_part(source, {"target": "cuda"})
    kinds = list(cuda_host.kinds_of(host, "run_update", "float32").values())
    made = host.machine_code("run_update", kinds, host.THREADS, CC)
    assert made.code.startswith(b"\x7fELF")
    assert b".text.run_update\0" in made.code
    monkeypatch.setattr(cuda_host, "compile_ptx", None)
    again = cuda_host.device_part(source, {"target": "cuda"}).machine_code("run_update", kinds, host.THREADS, CC)
    assert again.code == made.code
