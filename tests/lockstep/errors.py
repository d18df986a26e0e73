"""What the simulator raises."""


class LockstepError(Exception):
    """A fault of a simulated kernel, or a use that the simulator does not know."""


class Race(LockstepError):
    """Two threads touch one element, at least one writes, and no barrier orders them."""


class OutOfBounds(LockstepError):
    """An index outside its array."""


class Divergence(LockstepError):
    """A barrier or collective that not every thread of its scope reaches."""


class Misaligned(LockstepError):
    """An access of 8 or 16 bytes that does not start at a multiple of them."""


class Promotion(LockstepError):
    """A float64 value where the kernel should know only float32."""


class Failure(LockstepError):
    """An exception inside a kernel, with the place where it was raised."""
