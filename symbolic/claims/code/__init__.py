"""Claims in Python and SymPy."""
