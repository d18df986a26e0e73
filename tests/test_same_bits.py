"""The same seed gives the same bits in every process, compiled anew or loaded from the cache, by one thread or two."""

from __future__ import annotations

import json
import os
import subprocess
import sys

PROGRAM = """
import hashlib, json
import numpy as np
import gradloom as gl

L = gl.layers
network = gl.Sequential([L.Dense(7, gl.tanh), L.Dropout(0.3)], (11,), loss=gl.losses.SquaredError())
rng = np.random.default_rng(3)
x, y = rng.standard_normal((41, 11)), rng.standard_normal((41, 7))
found = {}
for threads in (1, 2):
    gl.set_threads(threads)
    model = gl.Model(network, seed=7)
    before = model.params.flat.copy()
    history = model.fit(x, y, epochs=3, batch=13, optimizer=gl.optimizers.SGD(lr=0.1), progress=False)
    assert np.abs(model.params.flat - before).max() > 1e-3, "nothing was trained"
    found[threads] = [hashlib.sha256(model.params.flat.tobytes()).hexdigest(), [loss.hex() for loss in history["loss"]]]
kernels = [one.stats for one in vars(model.program.module).values() if hasattr(one, "stats")]
found["compiled"] = sum(sum(stats.cache_misses.values()) for stats in kernels)
print(json.dumps(found))
"""


def trained(directory, hash_seed):
    environment = {**os.environ, "GRADLOOM_CACHE_DIR": str(directory), "PYTHONHASHSEED": hash_seed}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_parameters_are_the_same_bits_in_every_process(tmp_path):
    first = trained(tmp_path / "kernels", "1")
    again = trained(tmp_path / "kernels", "2")
    anew = trained(tmp_path / "others", "3")
    assert first["compiled"] > 0
    assert anew["compiled"] > 0
    assert again["compiled"] == 0, "the second process was to load what the first one compiled"
    for found in (first, again, anew):
        assert found["1"] == first["1"]
        assert found["2"] == first["1"]
