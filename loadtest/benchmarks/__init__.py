"""How fast it is, alone and beside other ways to serve the same model."""
