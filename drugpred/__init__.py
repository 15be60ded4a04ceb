"""Calibrated probabilities of drug use from personality scores and demographics, served by BentoML."""

__version__ = "0.1.0"
