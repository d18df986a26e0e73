"""`Driver`: calls of CUDA's driver interface. Its errors are raised; after one that ends all work nothing is called.

When a kernel faults, the driver gives the same error to whatever the process asks of that GPU from then on. Whichever
call notices it says what that means, and all later ones say the same again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from ..symbolic.errors import GradloomError

NOT_INITIALIZED = 3
# CUresult: what "leaves the process in an inconsistent state", as its documentation says, and what should be done.
_BROKEN = "the hardware failed, of which nvidia-smi -q says more"
_SLOW = "this GPU stops kernels that take long, as it serves a display; take smaller batches"
_FAULT = "if that fails, too, choose target 'cpu', and report the network: its kernel is wrong"
ENDINGS = dict.fromkeys((214, 220, 226), _BROKEN) | {702: _SLOW}
ENDINGS |= dict.fromkeys((700, 709, 710, 714, 715, 716, 717, 718, 719, 721), _FAULT)


class DeviceError(GradloomError, RuntimeError):
    """There is no GPU, or its driver refused what was asked of it.

    Attributes
    ----------
    status : what the driver said, as a number (``CUresult``); 0 where it was not asked
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Driver:
    """The driver's interface.

    Parameters
    ----------
    interface : the module `cuda.bindings.driver`, or what has its functions

    Attributes
    ----------
    lost : what every call says since an error that ended all work of this process on the GPU, else None
    """

    def __init__(self, interface: Any) -> None:
        self.interface = interface
        self.lost: str | None = None
        self._process = os.getpid()

    def __call__(self, name: str, *arguments: Any) -> Any:
        """Call a function by its name; what it returns behind its status.

        Raises
        ------
        DeviceError
            If the driver refuses, or has no such function.
        """
        if self.lost is not None:
            raise DeviceError(self.lost)
        try:
            found = getattr(self.interface, name)(*arguments)
        except RuntimeError as error:
            if "libcuda" in str(error) or name not in str(error):
                raise
            raise DeviceError(f"the driver knows no {name}: it is too old; install one of CUDA 13.0 or newer") from None
        if int(found[0]):
            raise self._error(found[0], name)
        return found[1] if len(found) == 2 else found[1:] or None

    @contextmanager
    def entered(self, context: Any) -> Iterator[None]:
        """Let this thread use a GPU in here, whichever one it uses before and after."""
        self("cuCtxPushCurrent", context)
        try:
            yield
        finally:
            self.interface.cuCtxPopCurrent()  # after an error it may say the same again

    def give_back(self, context: Any, *calls: tuple[Any, ...]) -> None:
        """Make calls, a name and arguments each, that nobody waits for, in whichever thread the collector runs.

        Nothing is raised: at the end of the process the driver may refuse, and after a fault it does. A process that
        was forked has none of what its parent has there.
        """
        if self.lost is not None or os.getpid() != self._process:
            return
        if not int(self.interface.cuCtxPushCurrent(context)[0]):
            for name, *arguments in calls:
                getattr(self.interface, name)(*arguments)
            self.interface.cuCtxPopCurrent()

    def _error(self, status: Any, name: str) -> DeviceError:
        _, text = self.interface.cuGetErrorString(status)
        number = int(status)
        said = f"the driver says: {text.decode() if text else number} ({name})"
        if number in ENDINGS:
            said = self.lost = (
                f"{said}, and this process cannot use the GPU any more; run the program again: {ENDINGS[number]}"
            )
        elif number == NOT_INITIALIZED and os.getpid() != self._process:
            said = self.lost = (
                "this process was forked from one that uses the GPU, where CUDA does not work; start it afresh, as "
                "multiprocessing.get_context('spawn') does"
            )
        return DeviceError(said, number)


Given = ParamSpec("Given")
Result = TypeVar("Result")


def within(method: Callable[Concatenate[Any, Given], Result]) -> Callable[Concatenate[Any, Given], Result]:
    """A method of what has a `Driver` and a context, `_call` and `_context`, during which the thread uses that."""

    @wraps(method)
    def made(self: Any, /, *arguments: Given.args, **named: Given.kwargs) -> Result:
        call = self._call  # as in `entered`, which would take a launch's time again
        call("cuCtxPushCurrent", self._context)
        try:
            return method(self, *arguments, **named)
        finally:
            call.interface.cuCtxPopCurrent()

    return made
