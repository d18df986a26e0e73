"""A CUDA toolkit that lacks a part, or is of another version: one sentence, with the mend; and status 2."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
from fake_driver import FakeDriver
from small_models import MODEL, run
from test_cuda_compiler import compiled

import gradloom as gl
from gradloom.runtime import cuda_compiler, cuda_host, cuda_toolkit
from gradloom.symbolic.errors import MissingExtraError

INSTALL = r'pip install "gradloom\[cuda\]"$'


class DynamicLibNotFoundError(RuntimeError):
    """As cuda.pathfinder has it."""


class FunctionNotFoundError(RuntimeError):
    """As cuda.bindings has it."""


FAILURES = {
    "libNVVM": (DynamicLibNotFoundError('Failure finding "libnvvm.so.4"\n  listdir("/lib"):'), "lacks libNVVM: "),
    "nvJitLink": (DynamicLibNotFoundError('Failure finding "libnvJitLink.so.13"'), "lacks nvJitLink: "),
    "libdevice": (RuntimeError("Missing libdevice file.\nPlease ensure …"), "lacks libdevice: "),
    "a module": (ImportError("cannot import name 'nvvm'"), "lacks libNVVM: "),
    "what else": (ImportError("No module named 'x'\nMore."), r"lacks a part \(No module named 'x'\): "),
    "a function": (
        FunctionNotFoundError("function nvvmLLVMVersion is not found"),
        r"of another version than needed \(function nvvmLLVMVersion is not found\): ",
    ),
}


def failing(error):
    def fail(*_):
        raise error

    return fail


@pytest.fixture
def toolkit(monkeypatch):
    """Libraries that are installed, and fail: what fails is to be put in."""
    made = types.ModuleType("cuda.bindings")
    made.nvvm = made.nvjitlink = types.SimpleNamespace(version=lambda: (13, 0))
    monkeypatch.setitem(sys.modules, "cuda", types.ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.bindings", made)
    monkeypatch.setitem(sys.modules, "numba_cuda", types.SimpleNamespace(__version__="0.30"))
    monkeypatch.setattr(cuda_toolkit, "find_spec", lambda name: name)
    return made


@pytest.mark.parametrize("name", FAILURES)
def test_what_is_missing_is_said(toolkit, name):
    assert cuda_toolkit.compiler_versions()["nvjitlink"] == "13.0"
    error, said = FAILURES[name]
    toolkit.nvjitlink = types.SimpleNamespace(version=failing(error))
    with pytest.raises(MissingExtraError, match=rf"^the CUDA (compiler|toolkit) (is )?{said}{INSTALL}"):
        cuda_toolkit.compiler_versions()


def test_other_errors_stay_what_they_are():
    for error in (RuntimeError("out of luck"), ValueError("no")):
        with pytest.raises(type(error), match=str(error)), cuda_toolkit.whole_toolkit():
            raise error


@pytest.mark.parametrize("command", ["generate", "train"])
def test_the_command_line_says_it_too(capsys, monkeypatch, tmp_path, one_warp, toolkit, command):
    """Before anything is written, and as soon as a kernel is needed."""
    toolkit.nvvm = types.SimpleNamespace(version=failing(FAILURES["libNVVM"][0]))
    compiling = cuda_host.MachineCode.__call__
    FakeDriver().first_device(monkeypatch)
    monkeypatch.setattr(cuda_host.MachineCode, "__call__", compiling)
    model, out, data = tmp_path / "small.py", tmp_path / "kernels.py", tmp_path / "data.npz"
    model.write_text(MODEL)
    np.savez(data, x=np.ones((6, 3)), y=np.ones((6, 2)))
    rest = {
        "generate": ["--arch", "sm_90", "-o", out],
        "train": ["--data", data, "--epochs", "1"],
    }
    status, _, err = run(capsys, command, model, "--target", "cuda", *rest[command])
    assert status == 2
    assert err.startswith("gradloom: error: the CUDA compiler lacks libNVVM: pip install")
    assert len(err.splitlines()) == 1
    assert not out.exists()


# ---- the real one ------------------------------------------------------------------------------------------------


def kernel(x):
    x[0] = 1.0


@compiled
def test_a_gpu_that_the_assembler_does_not_know():
    ptx = cuda_compiler.compile_ptx(kernel, ["float32*"], (9, 0), 32)
    with pytest.raises(gl.UnsupportedError, match="the assembler of the CUDA toolkit does not know this kind of GPU"):
        cuda_compiler.cubin(ptx, (13, 9))


@compiled
@pytest.mark.parametrize("library", ["nvvm", "nvjitlink"])
def test_the_real_classes_are_known(monkeypatch, library):
    from cuda import bindings, pathfinder

    error = pathfinder.DynamicLibNotFoundError(f'Failure finding "lib{library}.so.13"')
    monkeypatch.setattr(bindings, library, types.SimpleNamespace(version=failing(error)))
    with pytest.raises(MissingExtraError, match=rf"the CUDA compiler lacks .*: {INSTALL}"):
        cuda_toolkit.compiler_versions()
