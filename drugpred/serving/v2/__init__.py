"""The Open Inference Protocol (V2): one data plane, over REST and gRPC."""
