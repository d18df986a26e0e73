"""GPUs, several processes, and packages that are not installed."""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace

import gradloom as gl
from gradloom.runtime import cuda_compiler, cuda_device, cuda_toolkit
from gradloom.symbolic.claims.latex import reader

from .case import Case, Place, Proved, fitted, model, stacked


def without_driver(place: Place) -> object:
    """The compiler and the interface of the driver are installed, and the machine has no driver."""

    class Driver:
        def cuInit(self, flags: int) -> None:
            raise RuntimeError("Failed to dlopen libcuda.so.1")

    return on(place, Driver())


def without_gpu(place: Place) -> object:
    return on(place, SimpleNamespace(cuInit=lambda flags: (0,), cuDeviceGetCount=lambda: (0, 0)))


def on(place: Place, driver: object) -> object:
    place.patch.setattr(cuda_device, "require_driver_interface", lambda: None)
    place.patch.setattr(cuda_device, "import_module", lambda name: driver)
    return cuda_device.Device()


def without_toolkit(place: Place) -> object:
    place.patch.setattr(cuda_toolkit, "find_spec", lambda name: None)
    return cuda_compiler.compile_ptx(lambda: None, [], (9, 0), 32)


def comm(place: Place) -> object:
    return fitted(comm=3)


def without_mpi(place: Place) -> object:
    place.without("mpi4py")
    return fitted(comm=3)


def without_lark(place: Place) -> object:
    place.without("lark")
    reader._parser.cache_clear()
    try:
        return gl.check(stacked(), "L = 1")
    finally:
        reader._parser.cache_clear()


def bridge(name: str, package: str) -> Case:
    def case(place: Place) -> object:
        place.without(package)
        place.patch.delitem(sys.modules, f"gradloom.{name}", raising=False)
        return importlib.import_module(f"gradloom.{name}")

    return case


def parquet(place: Place) -> object:
    place.without("pyarrow")
    return gl.datasets.load_file(place.file("data.parquet", ""))


def safetensors(place: Place) -> object:
    place.without("safetensors", "safetensors.numpy")
    return model().save_parameters(place.path / "model.safetensors")


def onnx(place: Place) -> object:
    place.without("onnx")
    return gl.to_onnx(model(), place.path / "model.onnx")


def tensorboard(place: Place) -> object:
    place.without("tensorboardX")
    return gl.TensorBoard(place.path)


def matplotlib(place: Place) -> object:
    place.without("matplotlib", "matplotlib.figure", "matplotlib.mathtext")
    return stacked().picture()


def html(place: Place) -> object:
    place.without("latex2mathml", "latex2mathml.converter")
    return stacked().derive().html()


def digits(place: Place) -> object:
    place.without("sklearn", "sklearn.datasets")
    return gl.datasets.load_digits()


def notebook(place: Place) -> object:
    return fitted(callbacks=[gl.LiveCurves()])


def mixed(place: Place) -> object:
    from gradloom.symbolic.row_shares import share_of_rows

    return share_of_rows(stacked(gl.layers.BatchNorm()))


CASES: dict[str, Case] = {
    "Target cuda without a driver": without_driver,
    "Target cuda without a GPU": without_gpu,
    "A GPU that is too old": Proved("test_cuda_faults.py::test_a_gpu_that_is_too_old"),
    "A driver that is too old": Proved("test_cuda_faults.py::test_a_driver_that_is_too_old_lacks_functions"),
    "A driver that refuses the machine code": Proved("test_cuda_faults.py::test_machine_code_that_the_driver_refuses"),
    "A GPU with too little memory": Proved("test_cuda_device.py::test_too_much_memory_is_said"),
    "A kernel that fails": Proved("test_cuda_faults.py::test_after_a_fault_all_calls_say_the_same"),
    "A process forked from one that uses the GPU": Proved(
        "test_cuda_faults.py::test_a_forked_process_says_that_it_is_one"
    ),
    "Target cuda without its compiler": without_toolkit,
    "A CUDA toolkit that lacks a part": Proved("test_cuda_toolkit.py::test_the_real_classes_are_known"),
    "Kernels that are not there": lambda place: gl.load_kernels(place.path / "kernels.py"),
    "Kernels of another kind of file": lambda place: gl.load_kernels(place.file("kernels.py", "x = (\n")),
    "Tensor cores for float64": lambda place: model(target="cuda", dtype="float64", precision="tf32"),
    "An array of a GPU for a target of the host": Proved("test_foreign_arrays.py::test_the_host_takes_none"),
    "A communicator that is none": comm,
    "Several processes without mpi4py": without_mpi,
    "Several processes on a network that mixes its rows": mixed,
    "Other data in another process": Proved("test_ranks.py::test_errors_are_raised_by_all"),
    "A process that fails": Proved("test_ranks.py::test_one_that_fails_ends_all_and_says_why"),
    "A process that dies": Proved("test_ranks.py::test_one_that_dies_ends_all_and_its_checkpoint_stands"),
    "No PyTorch": bridge("torch", "torch"),
    "No JAX": bridge("jax", "jax"),
    "No scikit-learn": Proved("test_estimators_in_use.py::test_without_scikit_learn_the_extra_is_named"),
    "No lark, for claims": without_lark,
    "No pyarrow, for Parquet": parquet,
    "No safetensors": safetensors,
    "No onnx": onnx,
    "No tensorboardX": tensorboard,
    "No matplotlib, for pictures": matplotlib,
    "No latex2mathml, for HTML": html,
    "No scikit-learn, for its digits": digits,
    "No notebook, for live curves": notebook,
}
