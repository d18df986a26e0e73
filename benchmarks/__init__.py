"""How fast gradloom trains, next to everything else that is installed: ``python -m benchmarks``."""
