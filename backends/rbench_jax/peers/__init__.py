"""Second-order methods of other libraries on functions of JAX, one a file; none is imported before it is used."""
