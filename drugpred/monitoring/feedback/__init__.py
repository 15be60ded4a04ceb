"""Feedback on predictions: signed ids, outcomes, and each counted once."""
