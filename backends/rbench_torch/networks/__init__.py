"""Networks of the algebra from modules of PyTorch, by `tracing`, and modules from networks, by `convert`."""
