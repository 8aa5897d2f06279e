"""Measurements behind the documentation; each module runs on its own, as python -m benchmarks.NAME."""
