"""What the commands and characters of a formula are: tables, and nothing else."""

from __future__ import annotations

_LOWER = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi "
    "chi psi omega"
).split()
_GREEK = dict(zip("αβγδεζηθικλμνξοπρστυφχψω", _LOWER, strict=True)) | {
    "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Υ": "Upsilon",
    "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega", "ϵ": "epsilon", "ϕ": "phi", "ϑ": "vartheta", "ϱ": "varrho", "ς": "varsigma",
    "ϖ": "varpi", "ϰ": "varkappa",
}  # fmt: skip

# Commands that are names, and keep their backslash.
NAMES = frozenset("\\" + name for name in _GREEK.values()) | frozenset(
    r"""\varepsilon \varphi \varGamma \varDelta \varTheta \varLambda \varSigma \varPhi \varPsi \varOmega \digamma
    \ell \hbar \hslash \nabla \partial \infty \emptyset \varnothing \Re \Im \wp \aleph \beth \imath \jmath \eth
    \top \bot \intercal \dagger \ddagger \prime \forall \exists""".split()
)
# Commands that name functions: names without a backslash.
FUNCTIONS = frozenset(
    r"""\log \ln \lg \exp \sin \cos \tan \cot \sec \csc \sinh \cosh \tanh \coth \arcsin \arccos \arctan \det \dim \ker
    \deg \gcd \hom \arg \Pr \max \min \sup \inf \argmax \argmin""".split()
)
SUMS = {r"\sum": "sum", r"\prod": "prod", r"\coprod": "coprod"}
INDEXED = frozenset("max min argmax argmin sup inf".split())  # with a subscript, these take an index

RELATIONS = {
    "=": "=", "<": "<", ">": ">", ":=": ":=", "<=": "≤", ">=": "≥",
    r"\leftarrow": "<-", r"\gets": "<-", r"\longleftarrow": "<-", r"\coloneqq": ":=", r"\triangleq": ":=",
    r"\coloneq": ":=", r"\doteq": ":=", r"\equiv": "≡", r"\approx": "≈", r"\simeq": "≈", r"\cong": "≈",
    r"\propto": "∝", r"\lt": "<", r"\gt": ">", r"\le": "≤", r"\leq": "≤", r"\leqslant": "≤", r"\ge": "≥",
    r"\geq": "≥", r"\geqslant": "≥", r"\ne": "≠", r"\neq": "≠", r"\in": "∈", r"\notin": "∉", r"\to": "->",
    r"\rightarrow": "->", r"\longrightarrow": "->", r"\mapsto": "->", r"\ll": "≪", r"\gg": "≫", r"\sim": "∼",
}  # fmt: skip
OPERATORS = {
    "*": "*", r"\ast": "*", r"\cdot": "cdot", r"\times": "times", r"\odot": "odot", r"\circ": "circ",
    r"\otimes": "otimes", r"\oslash": "oslash", r"\star": "star", r"\bullet": "bullet", r"\circledast": "circledast",
    r"\bmod": "mod",
}  # fmt: skip

ACCENTS = {
    r"\hat": "hat", r"\widehat": "hat", r"\tilde": "tilde", r"\widetilde": "tilde", r"\bar": "bar",
    r"\overline": "bar", r"\dot": "dot", r"\ddot": "ddot", r"\vec": "vec", r"\overrightarrow": "vec",
    r"\check": "check", r"\widecheck": "check", r"\breve": "breve", r"\acute": "acute", r"\grave": "grave",
    r"\mathring": "ring", r"\underline": "underline",
}  # fmt: skip
FONTS = frozenset(
    r"""\mathbf \mathrm \mathit \mathsf \mathtt \mathcal \mathbb \mathfrak \mathscr \mathnormal \boldsymbol \bm \pmb
    \mathbfit \symbf \symbfit \symup""".split()
)
WORD_FONTS = frozenset(r"\mathrm \mathit \mathsf \mathtt \operatorname \operatorname* \symup".split())
SWITCHES = {r"\bf": r"\mathbf", r"\rm": r"\mathrm", r"\it": r"\mathit", r"\sf": r"\mathsf", r"\cal": r"\mathcal",
            r"\tt": r"\mathtt"}  # fmt: skip
TEXTS = frozenset(
    r"\text \textrm \textit \textbf \textsf \texttt \textnormal \mbox \hbox \intertext \shortintertext".split()
)
FRACTIONS = frozenset(r"\frac \dfrac \tfrac \cfrac \nicefrac \sfrac".split())

# Layout only: these leave nothing behind, nor do &, {}, comments, punctuation at the end, and what `whole` takes.
# The second kind takes an argument in braces with it.
SPACES = frozenset(
    r"\, \; \: \! \> \/ \quad \qquad \enspace \thinspace \medspace \thickspace \negthinspace \negmedspace".split()
) | {"\\ ", "\\\n", "\\\t", "~"}
LAYOUT = frozenset(
    r"""\displaystyle \textstyle \scriptstyle \scriptscriptstyle \limits \nolimits \nonumber \notag \allowbreak
    \nobreak \break \hfill \hfil \relax \mathstrut \strut \noindent \centering \null \- \protect
    \tiny \scriptsize \footnotesize \small \normalsize \large \Large \LARGE \huge \Huge""".split()
)
LAYOUT_WITH_ARGUMENT = frozenset(r"\label \hspace \hspace* \vspace \vspace* \phantom \vphantom \hphantom".split())
WIDE_SPACES = frozenset(r"\quad \qquad \hfill \hspace \hspace*".split())
SIZES = frozenset(r"\big \Big \bigg \Bigg".split())
ENVIRONMENTS = frozenset(
    """equation equation* align align* aligned alignat gather gather* gathered split multline multline* eqnarray
    eqnarray* displaymath math flalign flalign*""".split()
)
CASES = frozenset("cases dcases cases* dcases* rcases".split())

OPENING = {
    "(": "(", "[": "[", r"\{": "{", r"\lbrace": "{", r"\lbrack": "[", r"\langle": "⟨", r"\lfloor": "⌊", r"\lceil": "⌈",
    r"\lvert": "|", r"\lVert": "‖", r"\lparen": "(",
}  # fmt: skip
CLOSING = {
    ")": "(", "]": "[", r"\}": "{", r"\rbrace": "{", r"\rbrack": "[", r"\rangle": "⟨", r"\rfloor": "⌊", r"\rceil": "⌈",
    r"\rvert": "|", r"\rVert": "‖", r"\rparen": "(",
}  # fmt: skip
BARS = {"|": "|", r"\vert": "|", r"\|": "‖", r"\Vert": "‖", r"\parallel": "‖"}

DOTS = frozenset(r"\dots \ldots \cdots \dotsc \dotsb \dotsm \dotso \vdots \ddots".split())
# What is known and refused, with the mend.
REFUSED = {
    r"\pm": "a formula with ± is two formulas: write each on its own line",
    r"\mp": "a formula with ∓ is two formulas: write each on its own line",
    **dict.fromkeys(
        (r"\int", r"\iint", r"\oint", r"\iiint"), "an integral is not read: only sums over indices can be checked"
    ),
    **dict.fromkeys((r"\lim", r"\limsup", r"\liminf"), "a limit is not read: write the derivative that it defines"),
    **dict.fromkeys(
        (r"\mid", r"\middle", r"\given"),
        "a bar inside of brackets (a condition, as in p(y|x)) is not read: write a name with a subscript instead",
    ),
    **dict.fromkeys(
        (r"\newcommand", r"\renewcommand", r"\def", r"\let", r"\DeclareMathOperator", r"\providecommand", r"\gdef"),
        "a definition of a command is not read: write what it stands for, wherever it is used",
    ),
    **dict.fromkeys(
        (r"\Rightarrow", r"\implies", r"\iff", r"\Leftrightarrow", r"\Longrightarrow", r"\Leftarrow", r"\therefore"),
        "this joins two formulas: write each on its own line",
    ),
    **dict.fromkeys(
        (r"\underbrace", r"\overbrace", r"\underset", r"\substack", r"\cancel", r"\xrightarrow"),
        "an annotation around a part of a formula is not read: leave the part itself, without it",
    ),
    **dict.fromkeys(
        (r"\matrix", r"\pmatrix", r"\bmatrix", r"\smallmatrix"),
        "a matrix written out is not read: write its entry with indices",
    ),
    **dict.fromkeys(
        (r"\dv", r"\pdv", r"\derivative", r"\od", r"\pd", r"\diff", r"\grad"),
        r"write a derivative as \frac{\partial L}{\partial W} or \nabla_W L",
    ),
    **dict.fromkeys((r"\color", r"\textcolor"), "colours are not read: leave them out"),
    r"\choose": "a binomial coefficient is not read",
    r"\binom": "a binomial coefficient is not read",
    r"\over": r"write \frac{a}{b} instead of {a \over b}",
}

# Characters that people paste, as the LaTeX that they stand for.
CHARACTERS = {letter: "\\" + name for letter, name in _GREEK.items()} | {
    "∂": r"\partial", "∇": r"\nabla", "⊙": r"\odot", "∘": r"\circ", "○": r"\circ", "·": r"\cdot", "⋅": r"\cdot",
    "∙": r"\bullet", "•": r"\bullet", "×": r"\times", "⊗": r"\otimes", "⊘": r"\oslash", "∗": r"\ast", "⋆": r"\star",
    "∑": r"\sum", "∏": r"\prod", "√": r"\sqrt", "∞": r"\infty", "ℓ": r"\ell", "⊤": r"\top", "⊥": r"\bot",
    "†": r"\dagger", "⊺": r"\intercal", "∅": r"\emptyset", "∀": r"\forall", "∃": r"\exists", "∆": r"\Delta",
    "µ": r"\mu",     "−": "-", "–": "-", "＋": "+", "∕": "/", "⁄": "/", "÷": r"\div",
    "≤": r"\le", "≥": r"\ge", "⩽": r"\le", "⩾": r"\ge", "≠": r"\ne", "≈": r"\approx", "≃": r"\simeq", "≡": r"\equiv",
    "∝": r"\propto", "∈": r"\in", "∉": r"\notin", "←": r"\leftarrow", "⟵": r"\leftarrow", "→": r"\to", "⟶": r"\to",
    "↦": r"\mapsto", "≔": r"\coloneqq", "≜": r"\triangleq", "⇒": r"\Rightarrow", "⟹": r"\implies", "⇔": r"\iff",
    "±": r"\pm", "∓": r"\mp", "∫": r"\int", "…": r"\dots", "⋯": r"\cdots", "‖": r"\|", "∥": r"\|", "∣": r"|",
    "⟨": r"\langle", "⟩": r"\rangle", "〈": r"\langle", "〉": r"\rangle", "⌊": r"\lfloor", "⌋": r"\rfloor",
    "⌈": r"\lceil", "⌉": r"\rceil", "′": "'", "’": "'", "ʹ": "'", "∼": r"\sim", "≪": r"\ll", "≫": r"\gg",
}  # fmt: skip
BLANKS = frozenset(" \t\n\r\f\v\u00a0\u2002\u2003\u2004\u2005\u2006\u2009\u200a\u202f\u200b\u2060\u2061\u2062\ufeff")
COMBINING = {
    "\u0302": r"\hat", "\u0303": r"\tilde", "\u0304": r"\bar", "\u0305": r"\bar", "\u0307": r"\dot",
    "\u0308": r"\ddot", "\u20d7": r"\vec", "\u030c": r"\check", "\u0306": r"\breve",
}  # fmt: skip
