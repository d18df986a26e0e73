"""What the equations of one network allow compaction to rewrite: forward values to reuse, facts to use."""

from __future__ import annotations

from sympy import Expr

from .facts import Fact, proved_facts, use_facts
from .network import Network
from .reuse import ReuseRules


class Rewriting:
    """Rewrites an expression with the reuse rules and the facts, declared and proved, of a network."""

    def __init__(self, network: Network) -> None:
        self.facts = list(network.facts)
        self.rules = ReuseRules()
        for equation in network.equations:
            self.rules.learn(equation)
            self.facts += proved_facts(equation)

    def __call__(self, expr: Expr) -> tuple[Expr, list[Fact]]:
        return use_facts(self.rules.apply(expr), self.facts)
