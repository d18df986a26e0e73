"""Fuzzing of what gradloom reads: run by hand, `python -m fuzzing TARGET --minutes 30` in `tests/`.

Targets are `declarations`, `claims`, `saved`, `models` and `data`. An input is a string of bytes: choices that a target
makes its calls and files by (`choices`). Atheris proposes them, guided by what code they reach; where it is not
installed (``pip install "gradloom[fuzz]"``, Linux alone), or with `--engine hypothesis`, Hypothesis does. Whatever
comes out but gradloom's own errors, takes too long or too much memory, or runs code is a finding (`oracle`).

Findings are files in `.fuzzing/TARGET/`; `python -m fuzzing TARGET --replay FILE` runs one again and shows where it
fails. `.fuzzing/TARGET/log.jsonl` says how many inputs a run had. `test_fuzzing.py` runs some of each target every day.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # what is fuzzed is this checkout
