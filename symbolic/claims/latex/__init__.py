"""Formulas in LaTeX, taken apart; no names mean anything yet."""
