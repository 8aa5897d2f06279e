"""Measurements behind the figures in the documentation; each module runs on its own: python -m benchmarks.NAME."""
