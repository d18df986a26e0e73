"""The schedule of the "cuda" target: what all threads of a GPU do together, phase after phase."""
