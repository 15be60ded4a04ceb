"""The Open Inference Protocol (V2): one data plane, served over REST and gRPC."""
