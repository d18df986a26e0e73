"""Files and modules of others: ONNX, PyTorch, safetensors, and the formats of data sets."""
