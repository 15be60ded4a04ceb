"""Other ways to serve the same model, each in an environment of its own.

A peer is a module NAME.py here, which takes a port and answers on it or is a BentoML service, and NAME.txt, what it
needs beside this project or, where it serves the scikit-learn pipeline, beside pipeline.txt. This module says nothing
more, because peers import it where little is installed.
"""
