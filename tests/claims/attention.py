"""Claims about attention, as in the papers on FlashAttention and elsewhere."""

# ruff: noqa: E501 - formulas stand on one line, as their sources print them
from __future__ import annotations

from gradloom.symbolic.claims.errors import AmbiguousClaimError

from .case import right, wrong

FLASH = "Dao et al., FlashAttention, 2022, appendix B.2"
FLASH2 = "Dao, FlashAttention-2, 2023"
VASWANI = "Vaswani et al., Attention Is All You Need, 2017"
_rows = {"layout": "rows"}

CASES = [
    right("fa-s", "attention", r"\mathbf{S} = \mathbf{Q}\mathbf{K}^\top", f"{FLASH}", **_rows),
    right("fa-p", "attention", r"P_{ij} = \frac{e^{S_{ij}}}{\sum_l e^{S_{il}}}", f"{FLASH}", **_rows),
    right("fa-p-softmax", "attention", r"P = \mathrm{softmax}(S)", f"{FLASH}", **_rows),
    right("fa-o", "attention", r"O = PV", f"{FLASH}", **_rows),
    right("fa-dv", "attention", r"\mathbf{dV} = \mathbf{P}^\top \mathbf{dO}", f"{FLASH}, (5)", **_rows),
    right(
        "fa-dv-entries",
        "attention",
        r"dv_j = \sum_i P_{ij} do_i",
        f"{FLASH}, (5)",
        aliases={"dv": "dV", "do": "dO"},
        **_rows,
    ),
    right("fa-dp", "attention", r"dP = dO\, V^\top", f"{FLASH}", **_rows),
    right(
        "fa-ds-row",
        "attention",
        r"dS_{i:} = (\mathrm{diag}(P_{i:}) - P_{i:} P_{i:}^\top) dP_{i:}",
        f"{FLASH}, softmax of a row",
        layout="columns",
        waits="the colon of a whole row is not read, and comes out as not equal",
    ),
    right(
        "fa-ds-row-asked",
        "attention",
        r"dS_i = (\mathrm{diag}(P_i) - P_i P_i^\top) dP_i",
        f"{FLASH}, without the colon: P_i is a row or a column",
        AmbiguousClaimError,
        layout="columns",
    ),
    right(
        "fa-ds",
        "attention",
        r"dS_{ij} = P_{ij} (dP_{ij} - D_i)",
        f"{FLASH}",
        aliases={"D_i": r"\sum_k dO_{ik} O_{ik}"},
        **_rows,
    ),
    right("fa-d", "attention", r"\sum_j P_{ij} dP_{ij} = \sum_k dO_{ik} O_{ik}", f"{FLASH}, D", **_rows),
    right("fa2-ds", "attention", r"dS = P\circ(dP - \mathrm{rowsum}(dO\circ O))", f"{FLASH2}, algorithm 2", **_rows),
    right("fa-dq", "attention", r"dQ = dS\, K", f"{FLASH}", **_rows),
    right("fa-dk", "attention", r"dK = dS^\top Q", f"{FLASH}", **_rows),
    right("fa-dq-entries", "attention", r"dQ_{ij} = \sum_l dS_{il} K_{lj}", f"{FLASH}", **_rows),
    wrong("fa2-dk", "attention", r"dK = Q\, dS^\top", f"{FLASH2}, as printed", "swapped factors", **_rows),
    wrong("fa-dv-plain", "attention", r"dV = P\, dO", "mutation of fa-dv", "missing transpose", **_rows),
    wrong("fa-dk-plain", "attention", r"dK = dS\, Q", "mutation of fa-dk", "missing transpose", **_rows),
    wrong("fa-dq-transpose", "attention", r"dQ = dS^\top K", "mutation of fa-dq", "extra transpose", **_rows),
    wrong("fa-dp-swapped", "attention", r"dP = V\, dO^\top", "mutation of fa-dp", None, expect="layout", **_rows),
    wrong(
        "fa2-ds-bracket",
        "attention",
        r"dS = P\circ dP - \mathrm{rowsum}(dO\circ O)",
        "mutation of fa2-ds",
        "missing bracket",
        **_rows,
    ),
    wrong(
        "fa2-ds-sign",
        "attention",
        r"dS = P\circ(dP + \mathrm{rowsum}(dO\circ O))",
        "mutation of fa2-ds",
        "sign",
        **_rows,
    ),
    wrong(
        "fa2-ds-axis",
        "attention",
        r"dS = P\circ(dP - \mathrm{colsum}(dO\circ O))",
        "mutation of fa2-ds",
        "broadcast axis",
        **_rows,
    ),
    wrong("fa-ds-dropped", "attention", r"dS = P\circ dP", "mutation of fa2-ds", "dropped term", **_rows),
    wrong(
        "fa-ds-sigmoid",
        "attention",
        r"dS = P \circ (1 - P) \circ dP",
        "the derivative of the sigmoid for that of the softmax",
        **_rows,
    ),
    wrong("fa-dq-keys", "attention", r"dQ = dS\, V", "mutation of fa-dq", **_rows),
    # ---- scaled, of another size ---------------------------------------------------------------------------------
    right("cross-s", "cross_attention", r"S = \frac{QK^\top}{\sqrt{d}}", f"{VASWANI}, (1)", **_rows),
    right(
        "cross-dq",
        "cross_attention",
        r"\frac{\partial L}{\partial Q} = \frac{1}{\sqrt d} \frac{\partial L}{\partial S} K",
        f"{VASWANI}, derived",
        **_rows,
    ),
    right(
        "cross-dk",
        "cross_attention",
        r"\frac{\partial L}{\partial K} = \frac{1}{\sqrt d} \left(\frac{\partial L}{\partial S}\right)^\top Q",
        f"{VASWANI}, derived",
        **_rows,
    ),
    right(
        "cross-dv",
        "cross_attention",
        r"\frac{\partial L}{\partial V} = A^\top \frac{\partial L}{\partial O}",
        f"{VASWANI}, derived",
        **_rows,
    ),
    right(
        "cross-ds",
        "cross_attention",
        r"\frac{\partial L}{\partial S_{ij}} = A_{ij} \left( \frac{\partial L}{\partial A_{ij}} - \sum_{l=1}^N A_{il} \frac{\partial L}{\partial A_{il}} \right)",
        f"{VASWANI}, derived",
        **_rows,
    ),
    wrong(
        "cross-dq-scale",
        "cross_attention",
        r"\frac{\partial L}{\partial Q} = \frac{\partial L}{\partial S} K",
        "mutation of cross-dq",
        "missing factor",
        **_rows,
    ),
    wrong(
        "cross-dq-d",
        "cross_attention",
        r"\frac{\partial L}{\partial Q} = \frac{1}{d} \frac{\partial L}{\partial S} K",
        "mutation of cross-dq",
        "wrong power",
        **_rows,
    ),
    wrong(
        "cross-dk-plain",
        "cross_attention",
        r"\frac{\partial L}{\partial K} = \frac{1}{\sqrt d} \frac{\partial L}{\partial S} Q",
        "mutation of cross-dk",
        "missing transpose",
        **_rows,
    ),
    wrong(
        "cross-dv-plain",
        "cross_attention",
        r"\frac{\partial L}{\partial V} = A \frac{\partial L}{\partial O}",
        "mutation of cross-dv",
        "missing transpose",
        **_rows,
    ),
    wrong(
        "cross-dv-swapped",
        "cross_attention",
        r"\frac{\partial L}{\partial V} = \frac{\partial L}{\partial O} A^\top",
        "mutation of cross-dv",
        "swapped factors",
        **_rows,
    ),
    wrong(
        "cross-ds-index",
        "cross_attention",
        r"\frac{\partial L}{\partial S_{ij}} = A_{ij} \left( \frac{\partial L}{\partial A_{ij}} - \sum_{l=1}^N A_{ij} \frac{\partial L}{\partial A_{il}} \right)",
        "mutation of cross-ds",
        "wrong index",
        **_rows,
    ),
]
