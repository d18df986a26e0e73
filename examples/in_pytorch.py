"""A loss of one's own, declared in SymPy, that trains a PyTorch model on scikit-learn's digits.

The loss is a focal cross-entropy: what the model is already sure of counts less, by (1 - p)². It is one expression;
its gradient is derived, ``print(network.derive(["z"]))`` shows it, and it runs in one kernel inside of the model. Run
it with ``python examples/in_pytorch.py``; it needs PyTorch and scikit-learn.
"""

import torch
from sklearn.datasets import load_digits

import gradloom as gl

B, c = gl.dims("B c")
i, j = gl.indices("i j")
network = gl.Network("focal")
z, y = network.input("z", (B, c)), network.target("y", (B, c))
p = network.define("p", (i, j), gl.softmax(z[i, j], j))
log_p = network.define("l", (i, j), gl.log_softmax(z[i, j], j), latex=r"\log p")
network.minimize(gl.Sum(-y[i, j] * (1 - p[i, j]) ** 2 * log_p[i, j], i, j) / B)


def train(epochs=20):
    """Train a small model; return it, with the share of digits it names rightly among 360 that it has not seen."""
    torch.manual_seed(0)
    digits = load_digits()
    X = torch.tensor(digits.data / 16, dtype=torch.float32)
    Y = torch.nn.functional.one_hot(torch.tensor(digits.target)).float()
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    focal = gl.torch.function(network)
    step = torch.optim.Adam(model.parameters(), lr=0.005)
    for _ in range(epochs):
        for rows in torch.randperm(1437).split(32):  # the last batch is smaller: nothing is compiled again
            step.zero_grad()
            focal(model(X[rows]), Y[rows]).backward()
            step.step()
    with torch.no_grad():
        right = model(X[1437:]).argmax(1) == Y[1437:].argmax(1)
    return model, right.float().mean().item()


if __name__ == "__main__":
    print(network.derive(["z"]))
    print(f"accuracy on digits not seen: {train()[1]:.3f}")
