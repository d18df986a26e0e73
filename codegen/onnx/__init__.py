"""A network's outputs in inference as an ONNX graph, made of the same ops that the other targets write."""
