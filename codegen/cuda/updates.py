"""An optimizer's step as phases: each parameter is one thread's; norms over all of them are sums in parts."""

from __future__ import annotations

import re
from dataclasses import replace

from sympy import Dummy, Integer

from ...symbolic.tensors import Tensor, elements, tensor_of
from ..cuda_tiles import TILES
from ..kernels import Body, tuple_text
from ..layout import Place
from ..nests import Set
from ..once import OnceWriter
from ..sizes import Sizes
from ..update import Once, UpdatePlan
from .kinds import Each, Phase, Together
from .places import Places
from .products import Tiles
from .split import parts_of_sum
from .writer import CudaWriter


def write_update(plan: UpdatePlan, trainable: int) -> tuple[Body, Body, tuple[int, int]]:
    """``update`` on the device, and what the host computes before it for each step.

    Also how many numbers that is, and how many a step needs for the parts of sums.
    """
    names = plan.names
    leading = of_the_step(plan)
    given = scalars_of(plan)
    host = Body((), OnceWriter(plan, lambda one: []).head_of(leading), tuple_text([*map(names.of, given)]))
    places: Places = {}
    for tensor, buffer in plan.vectors:
        name, row = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", buffer).groups()  # type: ignore[union-attr]
        places[tensor] = (name, Place(Integer(int(row or 0) * trainable), (Integer(trainable),)))
    sums = {one.tensor: parts_of_sum(trainable) for stage in plan.stages for one in stage.once if one.index is not None}
    parts, length = {}, 0
    for tensor, count in sums.items():
        if count > 1:
            parts[tensor] = Tensor(f"{tensor.name}_parts", (Integer(count),), tensor.role)
            places[parts[tensor]] = ("sums", Place(Integer(length), (Integer(count),)))
            length += count
    names.declare(parts.values())
    writer = CudaWriter(places, names, Sizes(None, {}), Tiles("real", TILES))
    for tensor in given:
        writer.preset(tensor)
    phases: list[Phase] = []
    for stage in plan.stages:
        first = stage.equations[0]
        for one in (one for one in stage.once if one not in leading):
            if one.index is None:
                phases.append(Each((), (Set(one.tensor, one.body, first),)))
                continue
            entry, part = Dummy("q", integer=True), Dummy("part", integer=True)
            value, bound = one.body.xreplace({one.index: entry}), ((entry, Integer(trainable)),)
            if one.tensor in parts:
                divided = parts[one.tensor][part]
                space = ((part, Integer(sums[one.tensor])),)
                phases.append(Together(divided, value, space, bound, first, part))
                value, bound = divided, space
            phases.append(Together(one.tensor, value, (), bound, first))
        index = Dummy("q", integer=True)
        sets = tuple(
            Set(e.lhs.xreplace({e.indices[0]: index}), body.xreplace({e.indices[0]: index}), e)
            for e, body in zip(stage.equations, stage.bodies, strict=True)
        )
        phases.append(Each(((index, Integer(trainable)),), sets))
    body = writer.body(phases)
    read = [(names.of(tensor), at) for at, tensor in enumerate(given)]
    views = [
        f"{name} = scalars[{at}]" for name, at in read if any(re.search(rf"\b{name}\b", line) for line in body.lines)
    ]
    return replace(body, views=(*views, *body.views)), host, (len(given), length)


def scalars_of(plan: UpdatePlan) -> list[Tensor]:
    """What the host hands over for each step, in order."""
    return [*plan.hyper, *(one.tensor for one in of_the_step(plan))]


def of_the_step(plan: UpdatePlan) -> list[Once]:
    """The scalars that depend on the hyper-parameters and the step alone, in order."""
    known = {*plan.hyper, plan.step}
    found = []
    for one in (one for stage in plan.stages for one in stage.once):
        if one.index is None and set(map(tensor_of, elements(one.body))) <= known:
            known.add(one.tensor)
            found.append(one)
    return found
