"""Measures the effect on clients of killed workers and of attacks."""
