"""The equation engine: declare, derive, compact, print. Knows only SymPy."""

import time

BEGUN = time.time()  # before any of the code here was read: what is written later is not what runs
