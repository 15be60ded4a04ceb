"""Shapes of load, each a second file for `locust -f`."""
