"""Many rows, from a CSV or Parquet file to a CSV or Parquet file: what `drugpred score` is made of."""
