"""What was found on a GPU, as tables and JSON."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

from .correctness import passed

PACKAGES = ("gradloom", "numba", "numba-cuda", "cuda-bindings", "nvidia-nvvm", "nvidia-nvjitlink", "numpy")
PACKAGES += ("torch", "jax", "jaxlib", "cupy-cuda13x", "cupy-cuda12x")
Found = dict[str, Any]


def versions(device: str) -> Found:
    """Versions of all that takes part, and what the GPU is."""
    made: Found = {"python": platform.python_version(), "machine": platform.platform()}
    for package in PACKAGES:
        try:
            made[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    if device == "cpu":
        return made | {"device": f"dry run on {platform.machine()}"}
    from gradloom.runtime.cuda_device import default_device

    gpu = default_device()
    return made | {
        "device": gpu.name,
        "driver": gpu.driver,
        "compute capability": ".".join(map(str, gpu.cc)),
        "multiprocessors": gpu.multiprocessors,
    }


def versions_table(found: Found) -> str:
    return "\n".join(f"{name}: {value}" for name, value in found.items()) + "\n"


def correctness_table(rows: list[Found]) -> str:
    lines = [
        "| network | rows | loss | gradients | output | after a training | same bits twice | right |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "apart" not in row:
            said = row.get("left_out") or f"**{row['failed']}**"
            lines.append(f"| {row['network']} | {row['rows']} | {said} | | | | | |")
            continue
        apart = row["apart"]
        gradients = max((v for name, v in apart.items() if name.startswith("gradient")), default=0.0)
        shown = [f"{value:.1e}" for value in (apart["loss"], gradients, apart["output"], apart["trained"])]
        said = ["yes" if row[key] else "**NO**" for key in ("same_bits", "right")]
        lines.append(f"| {row['network']} | {row['rows']} | {' | '.join([*shown, *said])} |")
    return "\n".join(lines)


def correctness_part(found: Found) -> str:
    parts = [
        "How far float32 is from float64, relative to the largest entry:",
        "",
        correctness_table(found["correctness"]),
    ]
    if "correctness_tf32" in found:
        parts += ["", 'With precision="tf32":', "", correctness_table(found["correctness_tf32"])]
    parts += [f"\n{row['tool']}: {row['said']}" for row in found.get("sanitizer", [])]
    return "\n".join(parts) + "\n"


def training_row(row: Found) -> str:
    lines = [row["title"], ""]
    lines += ["| system | µs a step | quartiles | first losses apart | first call, s |", "|---|---|---|---|---|"]
    for name, one in row["systems"].items():
        us = one["us"]
        apart = f"{one['apart']:.1e}{'' if one['agrees'] else ' **NO**'}"
        lines.append(
            f"| {name} | {us['median']:.4g} | {us['q1']:.4g} – {us['q3']:.4g} | {apart} | {one['first_s']:.1f} |"
        )
    lines += [f"| {name} | {reason} | | | |" for name, reason in row["left_out"].items()]
    if "ratio" in row:
        lines += ["", f"gradloom is {row['ratio']:.2f} times as fast as {row['best_peer']}."]
    return "\n".join(lines) + "\n"


def kernels_table(rows: list[Found]) -> str:
    copies = (row["systems"].get("torch", {}) for row in rows if row["case"].startswith("copy"))
    copied = next((one["rate"] for one in copies if "rate" in one), None)
    lines = ["| kernel | gradloom, µs | PyTorch, µs | gradloom | PyTorch |", "|---|---|---|---|---|"]
    for row in rows:
        cells = [_cell(row["systems"].get(name), row, None) for name in ("gradloom", "torch")]
        rates = [_cell(row["systems"].get(name), row, copied) for name in ("gradloom", "torch")]
        name = f"{row['case']}{', TF32' if row['tf32'] else ''}"
        lines.append(f"| {name} | {' | '.join([*(us for us, _ in cells), *(rate for _, rate in rates)])} |")
    return "\n".join(lines) + "\n"


def _cell(one: Found | None, row: Found, copied: float | None) -> tuple[str, str]:
    if one is None:
        return row.get("left_out", ""), ""
    if "failed" in one:
        return one["failed"], ""
    share = f" ({one['rate'] / copied:.0%} of a copy)" if copied and row["unit"] == "GB/s" else ""
    return f"{one['us']['median']:.4g}", f"{one['rate']:,.4g} {row['unit']}{share}"


def what_is_wrong(found: Found) -> list[str]:
    """Results that differ, and what failed."""
    said = []
    for key in ("correctness", "correctness_tf32"):
        for row in found.get(key, []):
            if not passed(row):
                said.append(f"{key}: {row['network']} of {row['rows']} rows: {row}")
    for row in found.get("training", []):
        if "gradloom" in row["left_out"]:
            said.append(f"{row['task']}: {row['left_out']['gradloom']}")
        said += [f"{row['task']}: {name} is apart by {one['apart']:.1e}"
                 for name, one in row["systems"].items() if not one["agrees"]]  # fmt: skip
    for row in found.get("kernels", []):
        said += [f"{row['case']}: {name} {one['failed']}" for name, one in row["systems"].items() if "failed" in one]
    said += [f"{row['tool']}: {row['said']}" for row in found.get("sanitizer", []) if "(exit status" in row["said"]
             and "(exit status 0)" not in row["said"]]  # fmt: skip
    return said


def write(found: Found, folder: Path, name: str) -> None:
    """Write what there is so far."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"gpu-{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    parts = [f"# {found['versions']['device']}\n", versions_table(found["versions"]).replace("\n", "\n\n")]
    parts += ["## Correctness\n", correctness_part(found)] if "correctness" in found else []
    if "training" in found:
        parts += ["## Training\n", *(training_row(row) for row in found["training"])]
    parts += ["## Kernels\n", kernels_table(found["kernels"])] if "kernels" in found else []
    (folder / f"gpu-{name}.md").write_text("\n".join(parts))
