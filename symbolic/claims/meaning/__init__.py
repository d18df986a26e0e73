"""What the parts of a formula mean, with the names of a network."""
