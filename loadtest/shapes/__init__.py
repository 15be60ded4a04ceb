"""Load shapes, each a second file for `locust -f`."""
