"""The scikit-learn contract, once: fit, the public methods, tags and pickling."""
