"""gRPC: a thin translation between messages and the objects that HTTP answers with."""
