"""What training needs and serving does not: encoding, estimators, evaluation, report."""
