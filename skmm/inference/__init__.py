"""Inference: what is asked of a fitted network. No scikit-learn here."""
