"""What the service is made of: routes, error shape, documentation, transport formats."""
