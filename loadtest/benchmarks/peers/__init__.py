"""Other ways to serve the same model, each in an environment of its own.

A peer is a module here, which takes a port and answers on it or is a BentoML service, and a file of requirements:
scorer.txt if it serves this project's predictor, else one of its own name, beside pipeline.txt. This package imports
nothing, because peers run where little is installed.
"""
