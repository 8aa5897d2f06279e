"""The order in which the examples are to be read."""

from __future__ import annotations

ORDER = [
    "plot_complete_digits.py",
    "plot_digits3.py",
    "plot_mixed_table.py",
    "plot_labels.py",
    "plot_beta_schedules.py",
    "plot_grid_search.py",
    "plot_convolutional_encoder.py",
    "plot_spirals.py",
    "plot_wearable_sensors.py",
    "plot_air_quality.py",
]


class ReadingOrder:
    """Sort by the place in ``ORDER``; examples that are not in it come last, by name."""

    def __init__(self, src_dir: str) -> None:
        self.src_dir = src_dir

    def __call__(self, filename: str) -> tuple[int, str]:
        return (ORDER.index(filename) if filename in ORDER else len(ORDER), filename)
