"""The public contract of the Open Inference Protocol, version 2."""
