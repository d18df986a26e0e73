"""The colours of pictures, in light and dark, which are also those of the pages that they stand in."""

from __future__ import annotations

# What a colour is for → in light, in dark; each is readable on white and on near-black respectively.
COLOURS = {
    "ink": ("#1f2328", "#e6edf3"),
    "faint": ("#656d76", "#9aa4af"),
    "value": ("#116329", "#56d364"),
    "gradient": ("#c01c28", "#ff7b72"),
    "input": ("#0857b5", "#6cb2ff"),
    "target": ("#855800", "#e0a82e"),
    "parameter": ("#6f3fc7", "#c39bff"),
    "state": ("#0b6b6b", "#4cc9c0"),
    "loss": ("#b3246b", "#ff85bd"),
}


def colour_properties(theme: int) -> str:
    """The colours as custom properties of CSS, ``--gl-value`` and so on: of light (0) or dark (1)."""
    return "".join(f"--gl-{role}:{pair[theme]};" for role, pair in COLOURS.items() if role != "ink")
