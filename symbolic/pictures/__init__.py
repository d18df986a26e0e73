"""Pictures of networks: their dataflow with shapes, and their circuit with values and gradients."""
