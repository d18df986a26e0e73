"""Whether two expressions over the tensors of a network are equal."""
