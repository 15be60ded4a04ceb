"""The gRPC contracts, and the code that protoc generates from them."""
