"""Data sets of several modalities: made ones, loaded ones, and the removal of modalities."""

from skmm.datasets.air import load_air_quality, make_air_quality
from skmm.datasets.digits3 import load_digits3
from skmm.datasets.missing import remove_modalities
from skmm.datasets.motions import MOTION_MODALITIES, load_basic_motions, make_motions
from skmm.datasets.spirals import (
    ELLIPTIC_SPIRAL_MODALITIES,
    SPIRAL_MODALITIES,
    make_elliptic_spirals,
    make_spirals,
)
from skmm.datasets.tables import load_digit_views, make_quadratic_sinusoidal
from skmm.datasets.vowels import load_japanese_vowels

__all__ = [
    "ELLIPTIC_SPIRAL_MODALITIES",
    "MOTION_MODALITIES",
    "SPIRAL_MODALITIES",
    "load_air_quality",
    "load_basic_motions",
    "load_digit_views",
    "load_digits3",
    "load_japanese_vowels",
    "make_air_quality",
    "make_elliptic_spirals",
    "make_motions",
    "make_quadratic_sinusoidal",
    "make_spirals",
    "remove_modalities",
]
