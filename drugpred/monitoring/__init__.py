"""Monitoring of the model: metrics, drift and feedback."""
