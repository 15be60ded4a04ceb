"""What several commands need: servers, payloads, HTTP on the wire."""
