"""Estimators of labels: y as one more modality of the table."""
