"""Generated bad requests, and whether each is answered properly."""
