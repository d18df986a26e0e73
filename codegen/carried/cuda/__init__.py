"""Source that generated CUDA modules carry with them; see the folder above."""
