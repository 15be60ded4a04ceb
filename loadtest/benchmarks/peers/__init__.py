"""Other ways to serve the same model, each in its own environment.

A peer is a module here, which takes a port and answers on it or is a BentoML service, and a requirements file:
scorer.txt if it serves this project's predictor, otherwise one with its own name, in addition to pipeline.txt. This
package imports nothing, because peers run in small environments.
"""
