"""Scoring of many rows, from a CSV or Parquet file to a CSV or Parquet file: `drugpred score`."""
