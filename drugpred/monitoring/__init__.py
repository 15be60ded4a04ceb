"""How the model and those who ask it change while it is served."""
