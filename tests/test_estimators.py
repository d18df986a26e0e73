"""gradloom's estimators beside scikit-learn's: the same numbers, scores as good, and what each parameter does."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight
from threadpoolctl import threadpool_limits

import gradloom as gl
from gradloom.runtime.estimators.classification import class_weights
from gradloom.sklearn import MLPClassifier, MLPRegressor, NetworkClassifier, NetworkRegressor

RNG = np.random.default_rng(19)
X = RNG.normal(size=(53, 5))
LABELS = (X @ RNG.normal(size=(5, 3))).argmax(axis=1)
NAMES = np.array(["oak", "ash", "elm"])[LABELS]
Y = np.tanh(X @ RNG.normal(size=(5, 3)))
WEIGHTS = RNG.exponential(size=53)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def small(make=MLPClassifier, **options):
    """An estimator that compiles nothing, in double precision."""
    given = {"hidden_layer_sizes": (7,)} if make in (MLPClassifier, MLPRegressor) else {}
    settings = {"target": "numpy", "dtype": "float64", "random_state": 0, "max_iter": 5, "learning_rate_init": 0.05}
    return make(**{**given, **settings, **options})


def flat(estimator):
    return estimator.model_.params.flat


# ---- the numbers of scikit-learn's perceptrons -----------------------------------------------------------------------


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    ("ours", "theirs", "y"),
    [
        (MLPClassifier, neural_network.MLPClassifier, NAMES),
        (MLPRegressor, neural_network.MLPRegressor, Y[:, 0]),
        (MLPRegressor, neural_network.MLPRegressor, Y),
    ],
    ids=["classes", "numbers", "columns"],
)
def test_weights_after_epochs_are_scikit_learns(ours, theirs, y, weights):
    """From the same first weights, in the same batches: momentum, the penalty and weights of rows are the same."""
    options = {
        "hidden_layer_sizes": (7, 11),
        "activation": "tanh",
        "solver": "sgd",
        "alpha": 0.3,
        "batch_size": 17,
        "shuffle": False,
        "random_state": 0,
    }
    found = ours(**options, max_iter=3, learning_rate_init=0.05, target="numpy", dtype="float64")
    found.fit(X, y, sample_weight=weights)
    first = clone(found).set_params(max_iter=1, learning_rate_init=0.0).fit(X, y)
    known = theirs(**options, max_iter=1, learning_rate_init=0.05, warm_start=True).fit(X, y)
    for mine, other in zip(first.coefs_ + first.intercepts_, known.coefs_ + known.intercepts_, strict=True):
        other[...] = mine
    known.loss_curve_.clear()
    known.set_params(max_iter=3).fit(X, y, sample_weight=weights)
    for mine, other in zip(found.coefs_ + found.intercepts_, known.coefs_ + known.intercepts_, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.predict_proba(X) if y is NAMES else found.predict(X),
                               known.predict_proba(X) if y is NAMES else known.predict(X), rtol=1e-9)  # fmt: skip
    if y is not Y:  # of several columns scikit-learn states the mean of the errors, whose sum it lowers
        np.testing.assert_allclose(found.loss_curve_, known.loss_curve_, rtol=1e-9)
    assert found.n_layers_ == known.n_layers_ == 4


SETS = {
    "iris": (load_iris, MLPClassifier, {"max_iter": 150}),
    "digits": (load_digits, MLPClassifier, {"max_iter": 30}),
    "diabetes": (load_diabetes, MLPRegressor, {"max_iter": 60}),
}


@pytest.mark.parametrize("name", SETS)
def test_scores_are_as_good_as_scikit_learns(name):
    load, make, options = SETS[name]
    features, y = load(return_X_y=True)
    if make is MLPRegressor:
        y = (y - y.mean()) / y.std()
    options = {"hidden_layer_sizes": (31,), "learning_rate_init": 0.01, "random_state": 0, **options}
    scores = []
    with threadpool_limits(1):  # threads of BLAS wait for each other where the machine is busy
        for estimator in (make(**options, target="numpy"), getattr(neural_network, make.__name__)(**options)):
            found = cross_val_score(make_pipeline(StandardScaler(), estimator), features, y, cv=3)
            scores.append(found.mean())
    assert scores[0] > scores[1] - 0.03
    assert scores[0] > {"iris": 0.92, "digits": 0.9, "diabetes": 0.35}[name]


# ---- weights of rows -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "y"), [(MLPClassifier, NAMES), (MLPRegressor, Y)])
def test_a_weight_is_how_often_a_row_counts(make, y):
    times = RNG.integers(0, 4, len(X))
    assert set(times) == {0, 1, 2, 3}
    weighted = small(make, batch_size=len(X), shuffle=False).fit(X, y, sample_weight=times)
    repeated = small(make, batch_size=times.sum(), shuffle=False).fit(X.repeat(times, 0), y.repeat(times, 0))
    left_out = small(make, shuffle=False).fit(X, y, sample_weight=(times > 0) * 1.0)
    gone = small(make, shuffle=False).fit(X[times > 0], y[times > 0])
    np.testing.assert_allclose(flat(weighted), flat(repeated), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(flat(left_out), flat(gone))
    assert not np.allclose(flat(weighted), flat(gone), rtol=1e-3)


def test_a_weight_that_is_nothing_in_single_precision_is_left_out():
    """A step over such rows alone would divide 0 by 0."""
    tiny = np.where(np.arange(len(X)) % 2, 1.0, 1e-60)
    found, gone = (small(batch_size=1, dtype="float32", shuffle=False) for _ in range(2))
    found.fit(X, NAMES, sample_weight=tiny)
    np.testing.assert_array_equal(flat(found), flat(gone.fit(X[1::2], NAMES[1::2])))


# ---- how a training ends, and goes on --------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bits():
    first, second = (small(random_state=7).fit(X, NAMES) for _ in range(2))
    np.testing.assert_array_equal(flat(first), flat(second))
    assert not np.array_equal(flat(first), flat(small(random_state=8).fit(X, NAMES)))
    generator = np.random.RandomState(7)
    one, other = (small(random_state=generator).fit(X, NAMES) for _ in range(2))
    np.testing.assert_array_equal(flat(one), flat(first))
    assert not np.array_equal(flat(one), flat(other))
    assert not np.array_equal(flat(small(random_state=None).fit(X, Y[:, 0] > 0)),
                              flat(small(random_state=None).fit(X, Y[:, 0] > 0)))  # fmt: skip


@pytest.mark.parametrize("solver", ["adam", "sgd", gl.optimizers.RMSProp(lr=0.01, momentum=0.5)])
@pytest.mark.parametrize(("make", "y"), [(MLPClassifier, NAMES), (MLPRegressor, Y)])
def test_partial_fit_warm_start_and_fit_go_the_same_way(make, y, solver):
    whole = small(make, solver=solver, max_iter=3, batch_size=11).fit(X, y)
    warm = small(make, solver=solver, max_iter=1, batch_size=11, warm_start=True)
    partial = small(make, solver=solver, batch_size=11)
    for number in range(3):
        warm.fit(X, y)
        partial.partial_fit(X, y, **({"classes": np.unique(y)} if make is MLPClassifier and number == 0 else {}))
    np.testing.assert_array_equal(flat(warm), flat(whole))
    np.testing.assert_array_equal(flat(partial), flat(whole))
    assert warm.loss_curve_ == partial.loss_curve_ == whole.loss_curve_
    assert (whole.n_iter_, warm.n_iter_, partial.n_iter_) == (3, 1, 1)
    np.testing.assert_array_equal(flat(warm.set_params(warm_start=False).fit(X, y)), flat(small(
        make, solver=solver, max_iter=1, batch_size=11).fit(X, y)))  # fmt: skip


def test_classes_are_those_of_the_first_call():
    part = small().partial_fit(X[:3], NAMES[:3], classes=["ash", "elm", "oak"])
    assert part.partial_fit(X, NAMES).classes_.tolist() == ["ash", "elm", "oak"]
    assert part.predict_proba(X).shape == (53, 3)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        small().partial_fit(X, NAMES)
    with pytest.raises(gl.DataError, match=r"y has the label 'fir', but the classes are \['ash', 'elm', 'oak'\]"):
        part.partial_fit(X[:2], ["fir", "oak"])
    warm = small(warm_start=True).fit(X, NAMES)
    with pytest.raises(gl.DataError, match="call fit without warm_start"):
        warm.fit(X[:2], ["fir", "oak"])
    several = small(MLPRegressor, warm_start=True).fit(X, Y)
    with pytest.raises(gl.DataError, match="y has 1 columns, but the training goes on with 3"):
        several.fit(X, Y[:, 0])


@pytest.mark.parametrize("name", ["hidden_layer_sizes", "activation", "dtype", "network"])
def test_a_training_goes_on_with_the_model_that_there_is(name):
    """Of which a parameter set in between says nothing any more."""
    if name == "network":
        model, other, same = small(NetworkClassifier, network=of_sizes()), of_one_hot, {}
    else:
        model = small(hidden_layer_sizes=[7], activation="tanh")
        other = {"hidden_layer_sizes": (3,), "activation": "relu", "dtype": "float32"}[name]
        same = {"hidden_layer_sizes": (7,), "activation": gl.tanh, "dtype": np.float64}
    model = pickle.loads(pickle.dumps(model.fit(X, NAMES)))
    model.set_params(**same).partial_fit(X, NAMES)
    model.set_params(**{name: other})
    with pytest.raises(gl.DataError, match=f"{name} is another than that of the model"):
        model.partial_fit(X, NAMES)
    with pytest.raises(gl.DataError, match=f"{name} is another than that of the model"):
        model.set_params(warm_start=True).fit(X, NAMES)
    model.set_params(warm_start=False).fit(X, NAMES).partial_fit(X, NAMES)


def test_a_fit_that_fails_leaves_no_model_of_other_labels():
    model = small().fit(X, NAMES)
    with pytest.raises(gl.DataError, match="negative"):
        model.fit(X, np.char.upper(NAMES), sample_weight=-WEIGHTS)
    with pytest.raises(NotFittedError):
        model.predict(X)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize(("make", "y"), [(MLPClassifier, NAMES), (MLPRegressor, Y)])
def test_early_stopping_keeps_the_best(make, y, weights):
    options = {"early_stopping": True, "validation_fraction": 0.3, "n_iter_no_change": 4, "learning_rate_init": 0.2}
    found = small(make, max_iter=200, **options).fit(X, y, sample_weight=weights)
    best = int(np.argmax(found.validation_scores_)) + 1
    assert len(found.validation_scores_) == found.n_iter_ == len(found.loss_curve_) < 200
    assert found.n_iter_ > best + 4
    assert found.best_validation_score_ == max(found.validation_scores_)
    shorter = small(make, max_iter=best, **options).fit(X, y, sample_weight=weights)
    np.testing.assert_array_equal(flat(found), flat(shorter))
    assert found.best_loss_ is None

    seed = np.random.RandomState(0).randint(2**31 - 1)
    strata = np.unique(NAMES, return_inverse=True)[1] if make is MLPClassifier else None
    held = train_test_split(np.arange(53), test_size=0.3, stratify=strata, random_state=seed)[1]
    score = found.score(X[held], y[held], sample_weight=None if weights is None else weights[held])
    assert score == pytest.approx(found.best_validation_score_, rel=1e-9)
    if make is MLPRegressor:  # the mean of the columns' R²
        assert found.best_validation_score_ == pytest.approx(
            np.mean([r2_score(y[held, n], found.predict(X[held])[:, n], sample_weight=weights
                              if weights is None else weights[held]) for n in range(3)]), rel=1e-9)  # fmt: skip


def test_a_training_ends_when_the_loss_stays():
    ended = small(MLPRegressor, max_iter=999, tol=1e-3, n_iter_no_change=3, shuffle=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ended.fit(X, Y)
    curve = np.array(ended.loss_curve_)
    assert 4 < ended.n_iter_ == len(curve) < 999
    assert ended.best_loss_ == curve.min()
    # Of the last four epochs none was better by tol than the best before it, of the one before them it was.
    better = [curve[n] <= curve[:n].min() - 1e-3 for n in range(1, len(curve))]
    assert better[-4:] == [False] * 4
    assert better[-5]
    with pytest.warns(ConvergenceWarning, match="not converged in max_iter=2 epochs"):
        small(max_iter=2).fit(X, NAMES)


def test_an_adaptive_rate_is_divided_before_the_end(capsys):
    options = {"solver": "sgd", "tol": 1e-2, "n_iter_no_change": 2, "max_iter": 999, "learning_rate_init": 0.1}
    constant = small(MLPRegressor, **options).fit(X, Y)
    adaptive = small(MLPRegressor, learning_rate="adaptive", verbose=True, **options).fit(X, Y)
    assert constant.n_iter_ < adaptive.n_iter_ < 999
    assert constant.loss_curve_ == adaptive.loss_curve_[: constant.n_iter_]
    assert adaptive.model_.optimizer.values["lr"] == pytest.approx(0.1 / 5**8)
    printed = capsys.readouterr().out.splitlines()
    assert next(line for line in printed if line.startswith("Learning")) == "Learning rate set to 0.020000"
    assert printed[0] == f"Iteration 1, loss = {adaptive.loss_curve_[0]:.8f}"
    # A solver of one's own is not changed by the training.
    mine = gl.optimizers.SGD(lr=0.1)
    small(MLPRegressor, **{**options, "solver": mine}, learning_rate="adaptive").fit(X, Y)
    assert mine.values["lr"] == 0.1


# ---- networks of one's own -------------------------------------------------------------------------------------------


def of_images(n_features, n_classes):
    layers = [gl.layers.Conv2D(3, 3, activation=gl.relu), gl.layers.Flatten(), gl.layers.Dense(n_classes)]
    return gl.Sequential(layers, (1, 8, 8), loss=gl.losses.CrossEntropy(targets="labels"))


def of_one_hot(n_features, n_classes):
    layers = [gl.layers.Dense(7, gl.tanh), gl.layers.Dense(n_classes, gl.log_softmax)]
    return gl.Sequential(layers, n_features, loss=gl.losses.CrossEntropy())


def of_two_classes(n_features, n_classes):
    return gl.Sequential([gl.layers.Dense(1)], n_features, loss=gl.losses.BinaryCrossEntropy(mask="sample_weight"))


def of_margins(n_features, n_classes):
    return gl.Sequential(
        [gl.layers.Dense(n_classes)], n_features, loss=gl.losses.MultiClassHinge(targets="labels")
    )  # fmt: skip


def of_sizes():
    n, m = gl.dims("n m")
    return gl.Sequential([gl.layers.Dense(m)], n, loss=gl.losses.CrossEntropy(targets="labels"))


@pytest.mark.parametrize(
    ("network", "y"),
    [(of_one_hot, NAMES), (of_two_classes, NAMES == "ash"), (of_margins, NAMES), (of_sizes(), NAMES)],
    ids=["one-hot", "sigmoid", "hinge", "symbolic sizes"],
)
def test_a_network_of_ones_own(network, y):
    found = clone(small(NetworkClassifier, network=network, max_iter=60)).fit(X, y)
    assert found.score(X, y) > 0.85
    assert set(found.predict(X)) == set(y)
    assert hasattr(found, "predict_proba") == (network is not of_margins)
    if network is not of_margins:
        chances = found.predict_proba(X)
        np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-12)
        np.testing.assert_array_equal(found.classes_[chances.argmax(axis=1)], found.predict(X))
        np.testing.assert_allclose(np.exp(found.predict_log_proba(X)), chances, rtol=1e-12)


def test_rows_are_images_where_the_network_takes_images():
    features, y = load_digits(return_X_y=True)
    found = small(NetworkClassifier, network=of_images, max_iter=4, dtype="float32").fit(features[:600] / 16, y[:600])
    assert found.score(features[600:900] / 16, y[600:900]) > 0.8
    assert found.network_.tensors["x"].rank == 4


def test_rows_are_tokens_where_the_network_takes_labels():
    tokens = RNG.integers(0, 11, (47, 3))
    layers = [gl.layers.Embedding(11, 5), gl.layers.Flatten(), gl.layers.Dense(1)]
    net = gl.Sequential(layers, (3,), input_classes=11, loss=gl.losses.SquaredError())
    y = (tokens == 4).sum(axis=1) * 1.0
    found = small(NetworkRegressor, network=net, max_iter=80).fit(tokens, y)
    assert found.score(tokens, y) > 0.9
    assert found.predict(tokens).shape == (47,)


def test_a_regressor_of_ones_own_has_outputs_of_any_shape():
    net = gl.Sequential([gl.layers.Dense(3)], 5, loss=gl.losses.Huber(mask="sample_weight"))
    found = small(NetworkRegressor, network=net, max_iter=90).fit(X, Y, sample_weight=WEIGHTS)
    assert found.predict(X).shape == (53, 3)
    assert found.score(X, Y) > 0.7
    assert found.network_ is net


# ---- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "lbfgs"}, "solver is 'lbfgs'; choose 'adam' or 'sgd'"),
        ({"activation": "one_hot"}, "activation is 'one_hot'; choose 'identity', 'logistic', 'tanh', 'relu'"),
        ({"alpha": -1}, "alpha is -1; expected one number of at least 0"),
        ({"hidden_layer_sizes": (3, 0)}, "hidden_layer_sizes is 0; expected a whole number"),
        ({"batch_size": 0}, "batch_size is 0; expected a whole number"),
        ({"max_iter": 0}, "max_iter is 0; expected a whole number"),
        ({"tol": "small"}, "tol is 'small'; expected a number"),
        ({"learning_rate": "invscaling"}, "learning_rate is 'invscaling'; choose 'constant' or 'adaptive'"),
        ({"early_stopping": True, "validation_fraction": 0.01}, "test_size = 1 should be greater"),
    ],
)
def test_a_parameter_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options).fit(X, NAMES)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (WEIGHTS[:-1], r"sample_weight has shape \(52,\) and X has 53 rows"),
        (-WEIGHTS, "sample_weight holds negative numbers"),
        (np.zeros(53), "sample_weight is zero for every row"),
        (["a"] * 53, "sample_weight holds <U1; expected one number per row"),
    ],
)
def test_weights_that_cannot_be(weights, message):
    with pytest.raises(gl.DataError, match=message):
        small().fit(X, NAMES, sample_weight=weights)


@pytest.mark.parametrize(
    ("network", "y", "message"),
    [
        (3, NAMES, "network is 3; expected a network"),
        (lambda n, m: 3, NAMES, "network is 3; expected a network"),
        (of_images, NAMES, r"x takes samples of shape \(1, 8, 8\), 64 entries, but X has 5 features"),
        (of_two_classes, NAMES[:1].repeat(53), "y has 1 class, '.*', but the output p of network is a sigmoid"),
        (of_two_classes, NAMES, "y has 3 classes, but the output p of network has 1 column; expected one for each"),
    ],
)
def test_a_network_that_does_not_fit(network, y, message):
    with pytest.raises(ValueError, match=message):
        small(NetworkClassifier, network=network).fit(X, y)


def test_what_cannot_be_asked():
    with pytest.raises(gl.DataError, match="the loss of network reads none; declare it with weights, as in"):
        small(NetworkClassifier, network=of_one_hot).fit(X, NAMES, sample_weight=WEIGHTS)
    small(NetworkClassifier, network=of_one_hot).fit(X, NAMES, sample_weight=np.full(53, 2.0))  # all alike
    with pytest.raises(NotFittedError):
        small().predict(X)
    with pytest.raises(gl.DataError, match="partial_fit does not support early_stopping"):
        small(early_stopping=True).partial_fit(X, NAMES, classes=np.unique(NAMES))
    two = gl.Network("two")
    size = gl.Dim("B")
    a, b = two.input("a", (size, 5)), two.input("b", (size, 5))
    i, j = gl.indices("i j")
    w, y = two.parameter("w", (5,)), two.target("y", (size,))
    z = two.define("z", i, gl.Sum(w[j] * (a[i, j] + b[i, j]), j))
    two.minimize(gl.Sum((z[i] - y[i]) ** 2, i) / size)
    with pytest.raises(gl.DataError, match="an estimator has one input, X, but those of two are a, b"):
        small(NetworkRegressor, network=two).fit(X, Y[:, 0])


# ---- weights of classes ----------------------------------------------------------------------------------------------

OF_NAMES = {"oak": 3.0, "ash": 0.5}


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("chosen", ["balanced", OF_NAMES], ids=["balanced", "numbers"])
@pytest.mark.parametrize("make", [MLPClassifier, NetworkClassifier])
def test_weights_of_classes_are_those_of_scikit_learn(make, chosen, weights):
    """As if each row had the weight that scikit-learn's `compute_class_weight` has for its class."""
    known = {"elm": 1.0, **OF_NAMES} if chosen is OF_NAMES else chosen
    classes = np.unique(NAMES)
    assert len(set(np.bincount(LABELS))) == 3  # or all would be balanced already
    factors = compute_class_weight(known, classes=classes, y=NAMES, sample_weight=weights)
    times = factors[np.searchsorted(classes, NAMES)] * (1 if weights is None else weights)
    options = {"network": build} if make is NetworkClassifier else {}
    found = small(make, class_weight=chosen, **options).fit(X, NAMES, sample_weight=weights)
    expected = small(make, **options).fit(X, NAMES, sample_weight=times)
    np.testing.assert_allclose(flat(found), flat(expected), rtol=1e-12)
    assert not np.allclose(flat(found), flat(small(make, **options).fit(X, NAMES, sample_weight=weights)), rtol=1e-3)


def build(n_features, n_classes):
    loss = gl.losses.CrossEntropy(targets="labels", mask="sample_weight")
    return gl.Sequential([gl.layers.Dense(7, gl.tanh), gl.layers.Dense(n_classes)], n_features, loss=loss)


def test_early_stopping_does_not_know_weights_of_classes():
    found = small(class_weight={"oak": 0, "ash": 2}, early_stopping=True, validation_fraction=0.4).fit(X, NAMES)
    trained = train_test_split(X, NAMES, test_size=0.4, random_state=int(np.random.RandomState(0).randint(2**31 - 1)),
                               stratify=NAMES)  # fmt: skip
    assert max(found.validation_scores_) == found.score(trained[1], trained[3])
    assert len(set(trained[3])) == 3


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ("equal", "class_weight is 'equal'; choose None, 'balanced' or a dictionary"),
        ({"oak": -1.0}, "expected finite numbers of at least 0"),
        ({"oak": 0, "ash": 0, "elm": 0}, "one of them above 0"),
        ({"beech": 2.0}, "are not in class_weight"),
    ],
)
def test_weights_of_classes_that_cannot_be(chosen, message):
    with pytest.raises(ValueError, match=message):
        small(class_weight=chosen).fit(X, NAMES)


def test_a_part_of_the_data_cannot_be_balanced():
    with pytest.raises(gl.DataError, match="class_weight='balanced' asks for all of y, and partial_fit has a part"):
        small(class_weight="balanced").partial_fit(X, NAMES, classes=np.unique(NAMES))
    weighed = small(class_weight=OF_NAMES).partial_fit(X, NAMES, classes=np.unique(NAMES))
    plain = small().partial_fit(X, NAMES, classes=np.unique(NAMES))
    assert not np.array_equal(flat(weighed), flat(plain))
    # A class that the rows left have not: of the two others each has half of all weight.
    few = np.array([0, 1, 1, 1])
    factors = class_weights("balanced", np.arange(3), few, None)
    assert factors.tolist() == [2.0, 2 / 3, 0.0]
