"""Places in the workspace: what is needed at the same time never overlaps, and little is wasted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.codegen.layout import LINE
from gradloom.codegen.lifetimes import share_places
from gradloom.codegen.sizes import Sizes
from gradloom.symbolic.tensors import Tensor

B = gl.dims("B")


@given(
    st.lists(st.tuples(st.integers(1, 90), st.integers(0, 12), st.integers(0, 12), st.integers(0, 2)), max_size=12),
    st.integers(1, 7),
)
def test_what_is_alive_at_the_same_time_lies_apart(drawn, batch):
    shapes = [(size, *[B] * power) for size, _, _, power in drawn]
    tensors = [Tensor(f"t{at}", shape) for at, shape in enumerate(shapes)]
    alive = {t: (min(a, b), max(a, b)) for t, (_, a, b, _) in zip(tensors, drawn, strict=True)}
    places, end = share_places(tensors, alive, Sizes(B, {}))
    number = lambda value: int(value.subs(B, batch))  # noqa: E731
    taken = {t: (number(place.offset), number(place.end)) for t, place in places.items()}
    assert list(places) == tensors
    assert all(start % LINE == 0 and stop <= number(end) for start, stop in taken.values())
    for one in tensors:
        for other in tensors:
            meet = alive[one][0] <= alive[other][1] and alive[other][0] <= alive[one][1]
            if one is not other and meet:
                assert taken[one][1] <= taken[other][0] or taken[other][1] <= taken[one][0]


def test_a_deep_network_keeps_what_its_backward_pass_reads_and_two_deltas():
    width, depth = 32, 23
    layers = [gl.layers.Dense(width, gl.tanh) for _ in range(depth)]
    network = gl.Sequential(layers, (width,), loss=gl.losses.SquaredError())
    (line,) = (
        text
        for text in generate(network, schedule={"workspace": "shared"}).source.splitlines()
        if "numbers = " in text and "batch" in text
    )
    numbers = int(line.split("=")[1].split("*")[0])
    assert depth * width <= numbers <= (depth + 3) * width
