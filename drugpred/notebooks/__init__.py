"""Notebooks: `explore.ipynb` shows the data and what the model learned."""
