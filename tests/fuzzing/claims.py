"""Claims: LaTeX, pages and files, real ones with tokens changed and texts of odd characters, judged as `check` does."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from fuzzing.choices import Choices
from fuzzing.oracle import PAYLOADS, command
from fuzzing.target import Target

TOKENS = re.compile(r"\\[A-Za-z]+|\\.|[A-Za-z]|\d+|\s+|.", re.DOTALL)
POOL = r"""
    \frac \partial \sum \odot \begin{cases} \end{cases} \begin{aligned} \end{aligned} \left( \right) \left. \hat
    \bar \mathrm \operatorname \text{ \sqrt \prod \int \max_{k} \top \prime ' ^ _ { } ( ) [ ] | = & \\ \quad , ; : .
    + - * / ! ^T ^{-1} ^{(1)} _{ij} ^{l} \delta \nabla \sigma \exp \log \tanh W x y z a L B n m 0 1 2 0.5 1e9
    99999999999999999999 \tag \label{x} \input{/etc/passwd} \write18{x} \def\x{\x} \href{javascript:x}{y} % $ $$ \[
    \] \( \) ``` # <script> \ne \le \to \gets := ≈ ∂ Σ σ ² ᵀ ½ ∞ \infty \cdot \times \dots \cdots \ldots \forall \in
    \mathbb R \\[2pt] \; \, \!
""".split()
ODD_NAMES = ("", " ", "x", "W1", "\\frac", "m", "δ", "a=b", "{", "W^{(1)", "1", "=", *PAYLOADS)


def mutated(choices: Choices, text: str) -> str:
    """A text with a few of its tokens left out, doubled, exchanged, moved or replaced by those of the pool."""
    tokens = TOKENS.findall(text)
    for _ in range(1 + choices.below(5)):
        at, kind = choices.below(len(tokens) + 1), choices.below(8)
        other = choices.below(len(tokens) + 1)
        if kind == 0:
            del tokens[at : at + 1 + choices.below(3)]
        elif kind == 1:
            tokens[at:at] = tokens[other : other + 1 + choices.below(6)]
        elif kind == 2 and max(at, other) < len(tokens):
            tokens[at], tokens[other] = tokens[other], tokens[at]
        elif kind == 3:
            tokens[at : at + 1] = [choices.pick(POOL), " "]
        elif kind == 4:
            tokens.insert(at, choices.pick(POOL) + " ")
        elif kind == 5:
            tokens.insert(at, choices.text(6))
        elif kind == 6:
            opening, closing = choices.pick(
                (("{", "}"), ("(", ")"), (r"\frac{", "}{x}"), ("x_{", "}"), ("-", ""), ("", "'"))
            )
            deep = choices.pick((1, 2, 9, 400))
            tokens[at:at] = [opening * deep, *tokens[at : at + 1], closing * (deep - choices.below(2))]
        else:
            tokens.insert(at, choices.pick(PAYLOADS))
    return "".join(tokens)


def page(choices: Choices, lines: list[str]) -> str:
    """A text of several formulas, with the marks of LaTeX or Markdown, and words."""
    marks = (("$", "$"), ("$$", "$$"), (r"\[", r"\]"), (r"\begin{align}", r"\end{align}"), ("```math\n", "\n```"),
             ("", ""),
             (r"\begin{equation*}", ""), ("<p>", "</p>"), ("% ", ""), ("> ", ""), ("| a | ", " |"))  # fmt: skip
    made = [r"\documentclass{article}\begin{document}"] if choices.one_in(4) else []
    for line in lines:
        opening, closing = choices.pick(marks)
        made.append(f"{choices.pick(('', 'We have ', 'Proof. ', '# '))}{opening}{line}{closing}")
    return choices.pick(("\n", "\n\n", r" \\ ", "\r\n")).join(made)


def prepare(folder: Path) -> Target:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import sympy
    from claims.networks import NETWORKS
    from claims.suite import CASES
    from claims_formulas import READ

    import gradloom as gl
    from gradloom.symbolic.claims.code import python_claims, sympy_claims  # noqa: F401 - imported later it is watched
    from gradloom.symbolic.claims.latex.reader import read_relation

    # Networks of which a claim is judged soon, each with its claims.
    names = [name for name in ("mlp", "regression", "classifier", "logistic") if name in NETWORKS]
    cases = [case for case in CASES if case.network in names and not case.slow]
    real = [formula for formula, _ in READ]
    place = folder / "claims"
    place.mkdir()
    (place / "model.py").write_text(
        "import gradloom as gl\n"
        "network = gl.Sequential([gl.layers.Dense(2, gl.tanh)], input_shape=3, loss=gl.losses.SquaredError())\n"
    )

    def read(choices: Choices) -> None:
        """The reader alone, on much more texts."""
        raw = choices.one_in(6)
        text = choices.rest().decode("utf-8", "surrogateescape") if raw else mutated(choices, choices.pick(real))
        read_relation(text)

    def judge(choices: Choices) -> None:
        case = choices.pick(cases)
        options: dict[str, Any] = dict(case.options)
        for name in ("aliases", "symbols", "functions"):
            if choices.one_in(8):
                given = options.get(name, {})
                meaning = choices.pick((*ODD_NAMES, None, 3, gl.tanh, sympy.sin, mutated(choices, "x_1")))
                options[name] = {**given, choices.pick(ODD_NAMES): meaning}
        for name in ("layout", "derivatives", "first", "single"):
            if choices.one_in(12):
                options[name] = choices.pick(
                    (None, "rows", "columns", "numerator", "x", 0, 1, -1, 10**30, True, 0.5, [], {})
                )
        text = mutated(choices, case.text)
        if choices.one_in(4):
            text = page(choices, [text, mutated(choices, choices.pick(cases).text)])
        verdict = gl.check(NETWORKS[case.network](), text, **options, explain=choices.one_in(8))
        getattr(verdict.document(), choices.pick(("text", "html", "latex", "markdown")))()

    def files(choices: Choices) -> None:
        """The command, with a file or a formula and options of its own."""
        lines = [mutated(choices, choices.pick(cases).text) for _ in range(1 + choices.below(3))]
        text = page(choices, lines)
        claim = choices.pick(("claim.tex", "claim.md", "claim.txt", "Claim.TEX", ""))
        encoded = text.encode(choices.pick(("utf-8", "utf-8", "utf-8", "utf-16", "latin-1")), "replace")
        if claim:
            (place / claim).write_bytes(choices.altered(encoded) if choices.one_in(8) else encoded)
        options = ["--format", choices.pick(("text", "html", "latex", "markdown"))]
        for option in ("--alias", "--function", "--symbol"):
            if choices.one_in(4):
                odd = (
                    choices.pick(ODD_NAMES),
                    choices.pick(("=", "=", "")),
                    choices.pick((*ODD_NAMES, "Lambda", "Symbol", "exp")),
                )
                options.append(f"{option}={''.join(odd)}")
        options += ["--no-explain"] if choices.below(6) else []
        command("check", *options, "--", str(place / "model.py"), str(place / claim) if claim else lines[0])

    calls = (read, read, judge, judge, judge, files)

    def call(choices: Choices) -> None:
        choices.pick(calls)(choices)

    seeds = [bytes([n % 6, n * 7 % 256, n % 3, *range(n % 11, 90, 5)]) for n in range(60)]
    return Target(call, limit=60.0, seeds=seeds, may_run=lambda file: file == str((place / "model.py").resolve()))
