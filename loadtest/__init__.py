"""Load on the service and attacks on it: locust users, shapes and service levels, benchmarks, resilience, fuzzing."""
