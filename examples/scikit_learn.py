"""Networks among scikit-learn's tools: handwritten digits by a pipeline, a grid search, and a convolution in its place.

``python examples/scikit_learn.py`` compiles three networks the first time that it runs, which takes most of its time.
"""

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import gradloom as gl
from gradloom.sklearn import MLPClassifier, NetworkClassifier


def convolution(n_features, n_classes):
    """A network of equations of your own, for images that come as rows of 64 pixels."""
    return gl.Sequential(
        [
            gl.layers.Conv2D(8, 3, activation=gl.relu),
            gl.layers.MaxPool2D(2),
            gl.layers.Flatten(),
            gl.layers.Dense(n_classes),
        ],
        input_shape=(1, 8, 8),
        loss=gl.losses.CrossEntropy(targets="labels", mask="sample_weight"),
    )


network = convolution(64, 10)  # for gradloom's own commands, such as gradloom derive


def main(max_iter=200, target="cpu"):
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)

    training = {"max_iter": max_iter, "early_stopping": True, "random_state": 0, "target": target}
    pipeline = make_pipeline(MinMaxScaler(), MLPClassifier(**training))
    grid = {
        "mlpclassifier__hidden_layer_sizes": [(32,), (64,)],
        "mlpclassifier__learning_rate_init": [0.003, 0.01, 0.03],
    }
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
    print(f"best of {len(search.cv_results_['params'])}: {search.best_params_}")
    print(f"accuracy on held-out digits: {search.score(X_test, y_test):.1%}")

    perceptron = search.best_estimator_[-1]
    print(perceptron.network_.derive().delta("z1"))  # what it learnt by

    images = make_pipeline(MinMaxScaler(), NetworkClassifier(convolution, learning_rate_init=0.01, **training))
    print(f"with a convolution: {images.fit(X, y).score(X_test, y_test):.1%}")


if __name__ == "__main__":
    main()
