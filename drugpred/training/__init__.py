"""Training, which serving does not need: encoding, estimators, evaluation and report."""
