"""What the service is made of: the prediction endpoints, routes, error shape, documentation, gRPC."""
