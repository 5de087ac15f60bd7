"""Second-order methods of other libraries on modules of PyTorch, one a file; none is imported before it is used."""
