"""Feedback on predictions: signed ids and outcomes, each counted once."""
