"""Claims about recurrent networks: backpropagation through time, LSTM, GRU."""

# ruff: noqa: E501 - formulas stand on one line, as their sources print them
from __future__ import annotations

from .case import right, wrong

GOODFELLOW = "Goodfellow, Bengio and Courville, Deep Learning, 2016"
GREFF = "Greff et al., LSTM: A Search Space Odyssey, 2017, appendix A"
COURSERA = "Ng, Katanforoosh and Mourri, Sequence Models (Coursera), 2018, week 1, building a recurrent network"
CHO = "Cho et al., Learning Phrase Representations, 2014"

_bars = {"symbols": {f"{letter}_bar": rf"\bar {letter}" for letter in "zifo"}}
_i = {"aliases": {"i_t": r"\Gamma_u"}}

CASES = [
    # ---- Goodfellow, Bengio and Courville --------------------------------------------------------------------------
    right("rnn-a", "rnn", r"a^{(t)} = b + W h^{(t-1)} + U x^{(t)}", f"{GOODFELLOW}, (10.8)", single=True),
    right("rnn-h", "rnn", r"h^{(t)} = \tanh(a^{(t)})", f"{GOODFELLOW}, (10.9)"),
    right("rnn-o", "rnn", r"o^{(t)} = c + V h^{(t)}", f"{GOODFELLOW}, (10.10)", single=True),
    right(
        "rnn-p",
        "rnn",
        r"\hat y^{(t)} = \mathrm{softmax}(o^{(t)})",
        f"{GOODFELLOW}, (10.11)",
    ),
    right(
        "rnn-do", "rnn", r"(\nabla_{o^{(t)}} L)_i = \hat y_i^{(t)} - y_i^{(t)}", f"{GOODFELLOW}, (10.18)", "equal given"
    ),
    right(
        "rnn-dh",
        "rnn",
        r"\nabla_{h^{(t)}} L = W^\top \mathrm{diag}\left(1 - (h^{(t+1)})^2\right) (\nabla_{h^{(t+1)}} L) + V^\top (\nabla_{o^{(t)}} L)",
        f"{GOODFELLOW}, (10.21), t < τ",
        single=True,
        slow=True,
    ),
    right("rnn-dc", "rnn", r"\nabla_c L = \sum_t \nabla_{o^{(t)}} L", f"{GOODFELLOW}, (10.22)", single=True),
    right(
        "rnn-db",
        "rnn",
        r"\nabla_b L = \sum_t \mathrm{diag}\left(1 - (h^{(t)})^2\right) \nabla_{h^{(t)}} L",
        f"{GOODFELLOW}, (10.23)",
        single=True,
        slow=True,
    ),
    right(
        "rnn-dv", "rnn", r"\nabla_V L = \sum_t (\nabla_{o^{(t)}} L) h^{(t)\top}", f"{GOODFELLOW}, (10.24)", single=True
    ),
    right(
        "rnn-dw",
        "rnn",
        r"\nabla_W L = \sum_t \mathrm{diag}\left(1 - (h^{(t)})^2\right) (\nabla_{h^{(t)}} L) h^{(t-1)\top}",
        f"{GOODFELLOW}, (10.26)",
        single=True,
        slow=True,
    ),
    right(
        "rnn-du",
        "rnn",
        r"\nabla_U L = \sum_{t=1}^T \mathrm{diag}\left(1 - (h^{(t)})^2\right) (\nabla_{h^{(t)}} L) x^{(t)\top}",
        f"{GOODFELLOW}, (10.28)",
        single=True,
        slow=True,
    ),
    right(
        "rnn-dw-entries",
        "rnn",
        r"\frac{\partial L}{\partial W_{ij}} = \sum_b \sum_{t=2}^{T} \frac{\partial L}{\partial a_{bti}} h_{b,t-1,j}",
        "Werbos, Backpropagation through time, 1990, in these names",
        first=1,
    ),
    wrong(
        "rnn-dw-step",
        "rnn",
        r"\nabla_W L = \sum_t \mathrm{diag}\left(1 - (h^{(t)})^2\right) (\nabla_{h^{(t)}} L) h^{(t)\top}",
        "mutation of rnn-dw",
        "wrong index",
        single=True,
    ),
    wrong("rnn-dc-no-sum", "rnn", r"\nabla_c L = \nabla_{o^{(t)}} L", "mutation of rnn-dc", "missing sum", single=True),
    wrong(
        "rnn-db-no-derivative",
        "rnn",
        r"\nabla_b L = \sum_t \nabla_{h^{(t)}} L",
        "mutation of rnn-db",
        "missing activation derivative",
        single=True,
    ),
    wrong(
        "rnn-dh-last",
        "rnn",
        r"\nabla_{h^{(t)}} L = V^\top (\nabla_{o^{(t)}} L)",
        "mutation of rnn-dh: the branch through time lost",
        "dropped term",
        single=True,
    ),
    wrong(
        "rnn-dh-transpose",
        "rnn",
        r"\nabla_{h^{(t)}} L = W \mathrm{diag}\left(1 - (h^{(t+1)})^2\right) (\nabla_{h^{(t+1)}} L) + V^\top (\nabla_{o^{(t)}} L)",
        "mutation of rnn-dh",
        "missing transpose",
        single=True,
    ),
    wrong("rnn-do-sign", "rnn", r"\nabla_{o^{(t)}} L = y^{(t)} - \hat y^{(t)}", "mutation of rnn-do", "sign"),
    # ---- Greff et al. ----------------------------------------------------------------------------------------------
    right("lstm-z", "lstm", r"z^t = \tanh(\bar z^t)", f"{GREFF}, forward", slow=True, **_bars),
    right("lstm-c", "lstm", r"c^t = z^t \odot i^t + c^{t-1} \odot f^t", f"{GREFF}, forward", slow=True, **_bars),
    right("lstm-y", "lstm", r"y^t = \tanh(c^t) \odot o^t", f"{GREFF}, forward", slow=True, **_bars),
    right(
        "lstm-do",
        "lstm",
        r"d\bar o^t = dy^t \odot \tanh(c^t) \odot \sigma'(\bar o^t)",
        f"{GREFF}, δo",
        slow=True,
        **_bars,
    ),
    right(
        "lstm-dc",
        "lstm",
        r"dc^t = dy^t \odot o^t \odot \tanh'(c^t) + p_o \odot d\bar o^t + p_i \odot d\bar i^{t+1} + p_f \odot d\bar f^{t+1} + dc^{t+1} \odot f^{t+1}",
        f"{GREFF}, δc",
        slow=True,
        single=True,
        **_bars,
    ),
    right(
        "lstm-df", "lstm", r"d\bar f^t = dc^t \odot c^{t-1} \odot \sigma'(\bar f^t)", f"{GREFF}, δf", slow=True, **_bars
    ),
    right("lstm-di", "lstm", r"d\bar i^t = dc^t \odot z^t \odot \sigma'(\bar i^t)", f"{GREFF}, δi", slow=True, **_bars),
    right("lstm-dz", "lstm", r"d\bar z^t = dc^t \odot i^t \odot \tanh'(\bar z^t)", f"{GREFF}, δz", slow=True, **_bars),
    right(
        "lstm-dx",
        "lstm",
        r"dx^t = W_z^T d\bar z^t + W_i^T d\bar i^t + W_f^T d\bar f^t + W_o^T d\bar o^t",
        f"{GREFF}, δx",
        slow=True,
        single=True,
        **_bars,
    ),
    right(
        "lstm-dr", "lstm", r"dR_z = \sum_t d\bar z^{t+1} (y^{t})^\top", f"{GREFF}, δR", slow=True, single=True, **_bars
    ),
    wrong(
        "lstm-df-now",
        "lstm",
        r"d\bar f^t = dc^t \odot c^{t} \odot \sigma'(\bar f^t)",
        "mutation of lstm-df",
        "wrong index",
        slow=True,
        **_bars,
    ),
    wrong(
        "lstm-di-gate",
        "lstm",
        r"d\bar i^t = dc^t \odot z^t \odot \sigma'(\bar f^t)",
        "mutation of lstm-di",
        slow=True,
        **_bars,
    ),
    wrong(
        "lstm-dz-prime",
        "lstm",
        r"d\bar z^t = dc^t \odot i^t",
        "mutation of lstm-dz",
        "missing activation derivative",
        slow=True,
        **_bars,
    ),
    # ---- one step, in the names of Coursera ------------------------------------------------------------------------
    right("cell-c", "lstm_cell", r"c = \Gamma_f * c_{prev} + \Gamma_u * \tilde c", f"{COURSERA}, forward"),
    right("cell-a", "lstm_cell", r"a = \Gamma_o * \tanh(c)", f"{COURSERA}, forward"),
    right("cell-do", "lstm_cell", r"d\Gamma_o = da * \tanh(c)", f"{COURSERA}, backward"),
    right(
        "cell-dc",
        "lstm_cell",
        r"\frac{\partial L}{\partial \tilde c} = \frac{\partial L}{\partial c} * \Gamma_u",
        f"{COURSERA}, backward",
    ),
    right("cell-dcprev", "lstm_cell", r"dc_{prev} = dc * \Gamma_f", f"{COURSERA}, backward"),
    right("cell-dzc", "lstm_cell", r"dzc = dc * \Gamma_u * (1 - \tilde c^2)", f"{COURSERA}, backward"),
    right("cell-dzf", "lstm_cell", r"dzf = dc * c_{prev} * \Gamma_f * (1 - \Gamma_f)", f"{COURSERA}, backward"),
    right("cell-dwf", "lstm_cell", r"dW_f = dzf\, x^T", f"{COURSERA}, backward"),
    wrong(
        "cell-dtilde",
        "lstm_cell",
        r"d\tilde c = dc\,\Gamma_u + \Gamma_o(1-\tanh^2 c)\, i_t\, da\,\tilde c\,(1-\tanh(\tilde c)^2)",
        f"{COURSERA}, (7) of the notebook as first published",
        **_i,
    ),
    wrong("cell-do-prime", "lstm_cell", r"d\Gamma_o = da * (1 - \tanh(c)^2)", "mutation of cell-do"),
    wrong(
        "cell-dzc-twice",
        "lstm_cell",
        r"dzc = dc * \Gamma_u * (1 - \tanh^2(\tilde c))",
        "mutation of cell-dzc: tanh of a value that is a tanh already",
    ),
    wrong(
        "cell-dzf-prime", "lstm_cell", r"dzf = dc * c_{prev}", "mutation of cell-dzf", "missing activation derivative"
    ),
    wrong("cell-dcprev-gate", "lstm_cell", r"dc_{prev} = dc * \Gamma_u", "mutation of cell-dcprev"),
    wrong("cell-dwf-transpose", "lstm_cell", r"dW_f = dzf\, x", "mutation of cell-dwf", "missing transpose"),
    # ---- GRU -------------------------------------------------------------------------------------------------------
    right("gru-h", "gru", r"h_t = z_t \odot h_{t-1} + (1 - z_t) \odot \tilde h_t", f"{CHO}, (7)", slow=True),
    right("gru-dz", "gru", r"dz_t = dh_t \odot (h_{t-1} - \tilde h_t)", f"{CHO}, derived", slow=True),
    right("gru-dtilde", "gru", r"d\tilde h_t = dh_t \odot (1 - z_t)", f"{CHO}, derived", slow=True),
    right("gru-da", "gru", r"da_{h,t} = d\tilde h_t \odot (1 - \tilde h_t^2)", f"{CHO}, derived", slow=True),
    wrong("gru-dz-sign", "gru", r"dz_t = dh_t \odot (h_{t-1} + \tilde h_t)", "mutation of gru-dz", "sign", slow=True),
    wrong(
        "gru-dz-step", "gru", r"dz_t = dh_t \odot (h_{t} - \tilde h_t)", "mutation of gru-dz", "wrong index", slow=True
    ),
    wrong("gru-dtilde-gate", "gru", r"d\tilde h_t = dh_t \odot z_t", "mutation of gru-dtilde", slow=True),
]
