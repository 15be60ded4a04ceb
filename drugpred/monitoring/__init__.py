"""How the model and its callers change while it is served."""
