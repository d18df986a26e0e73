"""What a GPU makes of gradloom's kernels: are they right, and how fast beside PyTorch and JAX. See ``__main__``."""
