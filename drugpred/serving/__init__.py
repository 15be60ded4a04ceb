"""The HTTP and gRPC service: prediction endpoints, other routes, error format, OpenAPI document."""
