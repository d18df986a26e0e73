"""gradloom's estimators in pipelines and searches, in other processes, and where scikit-learn is missing."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_cuda_model import device  # noqa: F401 - a fixture

import gradloom as gl
from gradloom.sklearn import MLPClassifier, MLPRegressor, NetworkClassifier

X, LABELS = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[LABELS]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def net(n_features, n_classes):
    loss = gl.losses.CrossEntropy(targets="labels", mask="sample_weight")
    return gl.Sequential([gl.layers.Dense(5, gl.silu), gl.layers.Dense(n_classes)], n_features, loss=loss)


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    """An empty kernel cache; what is in it by now: modules, and when what was compiled of each was written."""
    folder = tmp_path / "kernels"
    monkeypatch.setenv("GRADLOOM_CACHE_DIR", str(folder))

    def found():
        compiled = {path.name: path.stat().st_mtime_ns for path in (folder / "__pycache__").glob("*.nb?")}
        return sorted(path.stem for path in folder.glob("*.py")), compiled

    return found


def search(*shapes, **options):
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(batch_size=50, max_iter=30, random_state=0))
    grid = {
        "mlpclassifier__hidden_layer_sizes": shapes,
        "mlpclassifier__learning_rate_init": [0.003, 0.03],
        "mlpclassifier__alpha": [1e-4, 1e-1, 1.0],
    }
    return GridSearchCV(pipeline, grid, cv=3, error_score="raise", **options)


@pytest.mark.slow
def test_a_grid_search_compiles_once(kernels):
    """19 fits of one shape: rates and penalties are data."""
    found = search((3,)).fit(X, NAMES)
    assert found.score(X, NAMES) > 0.9
    assert found.best_params_["mlpclassifier__learning_rate_init"] == 0.03
    modules, compiled = kernels()
    assert len(modules) == 1
    assert compiled


@pytest.mark.slow
def test_no_other_process_compiles_again(kernels):
    found = search((5,), (7,)).fit(X, NAMES)  # shapes that this process has not compiled before
    modules, compiled = kernels()
    assert len(modules) == 2
    again = search((5,), (7,), n_jobs=2).fit(X, NAMES)
    np.testing.assert_array_equal(again.cv_results_["mean_test_score"], found.cv_results_["mean_test_score"])
    models = [each.best_estimator_[-1].model_ for each in (found, again)]
    assert models[0].params.flat.tobytes() == models[1].params.flat.tobytes()
    assert kernels() == (modules, compiled)


@pytest.mark.parametrize("way", ["function", "declaration"])
def test_a_network_of_ones_own_is_searched(way):
    network = net if way == "function" else net(4, 3)
    estimator = NetworkClassifier(network, target="numpy", max_iter=40, random_state=0)
    found = GridSearchCV(estimator, {"learning_rate_init": [0.001, 0.05], "solver": ["adam", "sgd"]}, cv=3)
    found.fit(X, NAMES)
    assert found.best_score_ > 0.85
    assert found.best_params_["learning_rate_init"] == 0.05
    assert clone(estimator).get_params()["solver"] == "adam"
    if way == "declaration":
        assert clone(estimator).network is not network


def test_a_search_among_networks_and_optimizers():
    choices = {"network": [net, net(4, 3)], "solver": [gl.optimizers.RMSProp(lr=0.02), gl.optimizers.AdaGrad(lr=0.1)]}
    estimator = NetworkClassifier(net, target="numpy", max_iter=15, random_state=0)
    found = GridSearchCV(estimator, choices, cv=3, error_score="raise").fit(X, NAMES)
    scores = found.cv_results_["mean_test_score"].reshape(2, 2)
    np.testing.assert_array_equal(scores[0], scores[1])  # the function and what it returns
    assert len(set(scores[0])) == 2


def test_copies_go_on_by_themselves():
    made = MLPClassifier((5,), target="numpy", max_iter=4, random_state=0).fit(X, NAMES)
    expected = made.predict_proba(X)
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        np.testing.assert_array_equal(other.predict_proba(X), expected)
        other.partial_fit(X, NAMES)
        assert not np.array_equal(other.predict_proba(X), expected)
        np.testing.assert_array_equal(made.predict_proba(X), expected)
        assert (len(other.loss_curve_), len(made.loss_curve_)) == (5, 4)


@pytest.mark.slow
def test_a_pickle_is_used_in_another_process(tmp_path):
    """Of what is compiled: the same bits where the kernel cache is empty; training goes on with the same bits, too."""
    compiled = make_pipeline(StandardScaler(), MLPClassifier((3,), batch_size=50, max_iter=5, random_state=0))
    trained = MLPRegressor((5,), target="numpy", max_iter=5, random_state=0).fit(X, X[:, :2])
    content = pickle.dumps([compiled.fit(X, NAMES), trained])
    assert b"njit" not in content
    assert b"def " not in content
    (tmp_path / "pickle").write_bytes(content)
    script = (
        "import pathlib, pickle, sys, warnings\n"
        "import numpy as np\n"
        "from sklearn.datasets import load_iris\n"
        "X, _ = load_iris(return_X_y=True)\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "compiled, trained = pickle.loads((folder / 'pickle').read_bytes())\n"
        "assert not list((folder / 'kernels').glob('*')), 'nothing is made before it is asked for'\n"
        "chances = compiled.predict_proba(X)\n"
        "trained.partial_fit(X, X[:, :2])\n"
        "np.savez(folder / 'found.npz', chances=chances, flat=trained.model_.params.flat, y=trained.predict(X))\n"
    )
    environment = {**os.environ, "GRADLOOM_CACHE_DIR": str(tmp_path / "kernels")}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env=environment)
    trained.partial_fit(X, X[:, :2])
    with np.load(tmp_path / "found.npz") as found:
        np.testing.assert_array_equal(found["chances"], compiled.predict_proba(X))
        np.testing.assert_array_equal(found["flat"], trained.model_.params.flat)
        np.testing.assert_array_equal(found["y"], trained.predict(X))


@pytest.mark.usefixtures("device")
def test_on_a_device():
    """A simulated GPU: the same numbers as the reference target."""
    options = {"dtype": "float64", "solver": "sgd", "batch_size": 5, "max_iter": 2, "random_state": 0, "alpha": 0.5}
    rows, weights = slice(0, 150, 10), np.linspace(0.5, 2, 15)
    known, found = (
        MLPClassifier((3,), target=target, **options).fit(X[rows], NAMES[rows], sample_weight=weights)
        for target in ("numpy", "cuda")
    )
    np.testing.assert_allclose(found.model_.params.flat, known.model_.params.flat, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.predict_proba(X[:7]), known.predict_proba(X[:7]), rtol=1e-8)


def test_without_scikit_learn_the_extra_is_named():
    script = (
        "import sys\n"
        "sys.modules['sklearn'] = None\n"
        "import gradloom as gl\n"
        "try:\n"
        "    gl.sklearn\n"
        "except gl.MissingExtraError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("gradloom.sklearn needs scikit-learn 1.6 or newer (")
    assert done.stdout.endswith("pip install 'gradloom[sklearn]'\n")
