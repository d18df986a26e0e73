"""What runs generated modules: cache, parameters, training, saved files. Knows `codegen` and `symbolic`."""
