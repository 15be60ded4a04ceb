"""Load tests and attacks: locust users, load shapes and service levels, benchmarks, resilience tests, fuzzing."""
