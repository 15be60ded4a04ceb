"""Shared code of the commands: servers, payloads, HTTP clients."""
