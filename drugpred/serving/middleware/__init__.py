"""What happens to every HTTP request before it is routed: one job a module."""
