"""Networks as scikit-learn's estimators; `gradloom.sklearn` has the names."""
