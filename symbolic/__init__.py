"""The equation engine: declare, derive, compact, print. Knows only SymPy."""
