"""gRPC: converts between messages and the objects that HTTP serves too."""
