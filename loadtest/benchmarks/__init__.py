"""Benchmarks of the service, alone and against other ways to serve the same model."""
