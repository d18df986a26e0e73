"""What the equations of one network allow compaction to rewrite: forward values to reuse, facts to use."""

from __future__ import annotations

from sympy import Expr, Integer

from .facts import Fact, proved_facts, use_facts
from .guards import Guard
from .network import Network
from .place_checks import fixed_places
from .ranges import is_never_negative
from .reuse import ReuseRules


class Rewriting:
    """Rewrites an expression with the reuse rules and the facts, declared and proved, of a network."""

    def __init__(self, network: Network) -> None:
        self.facts = list(network.facts)
        self.rules = ReuseRules()
        self._never_negative: dict[Expr, None] = {}
        for equation in network.equations:
            self.rules.learn(equation)
            self.facts += proved_facts(equation)
            self._never_negative.update(dict.fromkeys(fixed_places(equation.body)))

    def __call__(self, expr: Expr) -> tuple[Expr, list[Fact]]:
        return use_facts(self.rules.apply(self._without_known_guards(expr)), self.facts)

    def _without_known_guards(self, expr: Expr) -> Expr:
        if not self._never_negative:
            return expr
        implied = {
            guard: Integer(1)
            for guard in expr.atoms(Guard)
            if any(is_never_negative(guard.args[0] - known) for known in self._never_negative)
        }
        return expr.xreplace(implied) if implied else expr
