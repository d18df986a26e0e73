"""The benchmarks run, compare what the systems compute, and write what they say that they write."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import flops, report  # noqa: E402
from benchmarks.figures import ratio, spread, summarise  # noqa: E402
from benchmarks.workloads import WORKLOADS, arrays  # noqa: E402


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A quick run of two workloads: the folder of results, and what was printed."""
    folder = tmp_path_factory.mktemp("results")
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "--quick",
        "--workloads",
        "W2,W8",
        "--name",
        "quick",
        "--threads",
        "1",
    ]
    command += ["--systems", "gradloom,gradloom-step,torch,numpy", "--results", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    return folder, done


@pytest.mark.slow
def test_systems_agree_and_are_measured(quick):
    folder, done = quick
    assert done.returncode == 0, done.stderr
    run = json.loads((folder / "quick.json").read_text())
    assert [result["workload"] for result in run["results"]] == ["W2", "W8"]
    for result in run["results"]:
        losses = {name: row["losses"] for name, row in result["systems"].items()}
        assert set(losses) == {"gradloom", "gradloom-step", "torch", "numpy"}
        for found in losses.values():
            assert len(found) == 20
            np.testing.assert_allclose(found, losses["numpy"], rtol=1e-4)
        assert result["gradients"]["compared"]
        assert result["gradients"]["apart"] < 1e-5
        for row in result["systems"].values():
            assert len(row["rounds"]) == 2
            assert row["us"]["min"] <= row["us"]["q1"] <= row["us"]["median"] <= row["us"]["q3"]
            assert row["us"]["min"] > 0.01
            assert row["memory_mib"] > row["imported_mib"] > 10
            assert 0 < row["percent_of_peak"] < 100
        ours = result["systems"]["gradloom"]
        assert 0 < ours["cached_s"] < ours["first_s"]
        assert result["best_peer"] in ("torch", "numpy")

    assert run["results"][0]["gradients"]["apart"] > 0  # sums of a hundred rows: not the same code, not the same bits


@pytest.mark.slow
def test_the_report_is_written(quick):
    folder, done = quick
    page = (folder / "quick.md").read_text()
    for text in ("## W2", "## W8", "PyTorch eager", "NumPy by hand", "triad GB/s"):
        assert text in page, text
    assert "DIFFER" not in page
    assert "| W8 " in done.stdout
    assert (folder / "quick.png").read_bytes()[:4] == b"\x89PNG"


def test_what_is_unknown_is_refused():
    command = [sys.executable, "-m", "benchmarks", "--workloads", "W2,W99"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "W99 is unknown" in done.stderr


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_data_fit_the_workload(name):
    workload = WORKLOADS[name]
    first, again = arrays(workload), arrays(workload)
    assert first["x"].shape[:2] == first["y"].shape[:2] == (workload.batches, workload.batch)
    for key, array in first.items():
        np.testing.assert_array_equal(array, again[key])
        assert array.dtype.kind in "if"
        assert array.dtype.kind == "i" or array.dtype == workload.dtype


@pytest.mark.parametrize("name", ["W2", "W4", "W5"])
def test_operations_are_those_that_pytorch_counts(name):
    workload = WORKLOADS[name]
    relu, pool = torch.nn.ReLU, torch.nn.MaxPool2d
    if workload.kind == "conv":
        convolutions = [
            torch.nn.Conv2d(1, 6, 5, padding=2),
            relu(),
            pool(2),
            torch.nn.Conv2d(6, 16, 5),
            relu(),
            pool(2),
        ]
        sizes, shape, before = (400, 120, 84, 10), (1, 28, 28), [*convolutions, torch.nn.Flatten()]
    else:
        sizes = workload.settings["sizes"]
        shape, before = sizes[:1], []
    model = torch.nn.Sequential(*before, *(torch.nn.Linear(*pair) for pair in itertools.pairwise(sizes)))
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(workload.batch, *shape)).sum().backward()
    assert flops.flops(workload) == counter.get_total_flops()


def test_operations_are_those_of_the_products():
    # 2 · 100 · (784·16 + 16·16 + 16·10) forward, as much for the weights, and without the first layer for the inputs
    forward = 2 * 100 * (784 * 16 + 16 * 16 + 16 * 10)
    assert flops.flops(WORKLOADS["W2"]) == 3 * forward - 2 * 100 * 784 * 16


def row(*rounds):
    return {"rounds": [list(part) for part in rounds], "us": spread(np.concatenate(rounds)), "first_s": 1.0}


def test_a_ratio_is_how_many_times_as_fast():
    found = ratio(row([10.0, 10.0], [20.0, 20.0]), row([30.0, 30.0], [40.0, 40.0]))
    assert found["ratio"] == pytest.approx(35 / 15)
    assert found["q1"] == pytest.approx(2.25)  # between 30 / 10 and 40 / 20
    assert found["q3"] == pytest.approx(2.75)
    assert found["of_minima"] == 3


def test_the_best_peer_is_the_fastest_that_is_not_ours():
    systems = {"gradloom": row([4.0]), "gradloom-step": row([5.0]), "torch": row([9.0]), "jax-scan": row([6.0])}
    for part in systems.values():
        part |= {"first_steps": 1, "losses_apart": 0.0, "import_s": 0.5, "memory_mib": 100.0}
    result = {"workload": "W2", "title": "two", "goal": 3.5, "dtype": "float32", "flops": 1e6, "systems": systems,
              "gradients": {"compared": False}}  # fmt: skip
    made = summarise(result, {"1": {"float32_gflops": 500.0}})
    assert made["best_peer"] == "jax-scan"
    assert made["ratios"]["best_peer"]["ratio"] == 1.5
    assert made["ratios"]["torch"]["ratio"] == 2.25
    assert made["ratios"]["a_call_a_step"]["ratio"] == pytest.approx(9 / 5)  # of the peers that take a call a step
    assert made["systems"]["gradloom"]["percent_of_peak"] == pytest.approx(100 * (1e6 / 4e-6) / 500e9)
    page = report.workload_text(made)
    assert page.index("gradloom") < page.index("JAX lax.scan") < page.index("PyTorch eager")


def test_what_disagrees_is_said():
    systems = {"gradloom": row([4.0]), "torch": row([9.0])}
    for part in systems.values():
        part |= {"first_steps": 1, "losses_apart": 0.5, "import_s": 0.5, "memory_mib": 100.0}
    systems["gradloom"]["disagrees"] = "losses of gradloom are off"
    result = {"workload": "W2", "title": "two", "goal": 3.5, "dtype": "float32", "flops": 1e6, "systems": systems,
              "gradients": {"compared": False}}  # fmt: skip
    made = summarise(result, {"1": {"float32_gflops": 500.0}})
    assert "**These do not compute the same: losses of gradloom are off**" in report.workload_text(made)
    assert "W2 DIFFERS" in report.summary([made])


def test_the_bridge_is_measured_against_pytorch(tmp_path, monkeypatch, capsys):
    from benchmarks import bridges

    monkeypatch.setattr(bridges, "SIZES", ((7, 5),))
    monkeypatch.setattr(bridges, "LAYER", (3, 5, 2))
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)  # the suite's own number
    options = ["--rounds", "2", "--seconds", "0", "--threads", "1", "--results", str(tmp_path)]
    bridges.main(options)
    assert "| layer, 3 × 5 → 2" in capsys.readouterr().out
    cases = json.loads((tmp_path / "bridges.json").read_text())["cases"]
    assert list(cases) == ["loss, 7 × 5", "layer, 3 × 5 → 2"]
    for case in cases.values():
        ours, theirs = case["us"]["gradloom"], case["us"]["torch, 1 thread"]
        assert case["ratios"]["torch, 1 thread"]["median"] == pytest.approx(
            sum(other / one for one, other in zip(ours, theirs, strict=True)) / 2
        )
    plain = bridges.plain
    monkeypatch.setattr(bridges, "plain", lambda z, y: 1.01 * plain(z, y))
    with pytest.raises(SystemExit, match="another gradient"):
        bridges.main(options)
