"""Fuzzing: sends generated bad requests, and checks each answer."""
