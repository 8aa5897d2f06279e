"""Times that continue those of a sequence, step by step."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import (
    is_bool_dtype,
    is_complex_dtype,
    is_float_dtype,
    is_integer_dtype,
    is_numeric_dtype,
)
from pandas.tseries.frequencies import to_offset

DIGITS = 9  # to which steps of decimal fractions must agree, counted from the largest time


def continued(times: Sequence[pd.Index], n_steps: int) -> pd.Index | None:
    """Further times of each of several sequences.

    A sequence goes on with the most frequent difference between its successive times, the smallest where
    several are; one of a single step with that of all sequences together. Dates a calendar step apart
    (months, business days, days across a change of clocks) go on by the calendar. Whole numbers stay whole.

    Parameters
    ----------
    times : sequence of Index
        Times of each sequence.
    n_steps : int
        Number of further steps of each.

    Returns
    -------
    Index or None
        ``n_steps`` times for each sequence, one sequence after the other. None where the times are not
        numbers, dates, durations or periods, or do not increase.

    Raises
    ------
    ValueError
        If dates or durations have no step, as no sequence has two of them.
    """
    together = times[0].append(list(times[1:])).infer_objects()
    ends = np.cumsum([len(each) for each in times])
    ordinals = _ordinals(together)
    if ordinals is None or together.hasnans:
        return None
    parts = np.split(ordinals, ends[:-1])
    steps = [np.diff(part) for part in parts]
    if any((step <= 0).any() for step in steps):
        return None
    pooled = np.concatenate(steps)
    if len(pooled):
        usual = _most_frequent(pooled, ordinals)
    elif isinstance(together, pd.DatetimeIndex | pd.TimedeltaIndex):
        raise ValueError(
            f"The times of X are of type {together.dtype}, and no sequence has two of them, so the step from "
            "one time to the next is unknown; give a sequence of two steps or more, or times that are whole "
            "numbers or periods (.to_period('D'))."
        )
    else:
        usual = ordinals.dtype.type(1)
    ahead = np.concatenate(
        [
            part[-1] + np.arange(1, n_steps + 1) * (_most_frequent(step, part) if len(step) else usual)
            for part, step in zip(parts, steps, strict=True)
        ]
    )
    if isinstance(together, pd.DatetimeIndex):
        dates = [together[end - len(part) : end] for part, end in zip(parts, ends, strict=True)]
        return _by_calendar(dates, _from_ordinals(ahead, together), n_steps)
    return _from_ordinals(ahead, together)


def _ordinals(times: pd.Index) -> np.ndarray | None:
    """Times as numbers; None where they are none."""
    if isinstance(times, pd.DatetimeIndex | pd.TimedeltaIndex | pd.PeriodIndex):
        return np.asarray(times.asi8)
    dtype = times.dtype
    if not is_numeric_dtype(dtype) or is_bool_dtype(dtype) or is_complex_dtype(dtype):
        return None
    # not in the type of the times, which may be too small for the times to come
    return times.to_numpy(dtype=np.int64 if is_integer_dtype(dtype) else np.float64)


def _from_ordinals(ordinals: np.ndarray, like: pd.Index) -> pd.Index:
    if isinstance(like, pd.PeriodIndex):
        return pd.PeriodIndex([pd.Period(ordinal=int(each), freq=like.freq) for each in ordinals])
    if isinstance(like, pd.TimedeltaIndex):
        return pd.TimedeltaIndex(ordinals.view(f"m8[{like.unit}]"))
    if isinstance(like, pd.DatetimeIndex):
        dates = pd.DatetimeIndex(ordinals.view(f"M8[{like.unit}]"))
        return dates if like.tz is None else dates.tz_localize("UTC").tz_convert(like.tz)
    return pd.Index(ordinals)


def _most_frequent(steps: np.ndarray, ordinals: np.ndarray) -> Any:
    if not is_float_dtype(steps.dtype):
        values, counts = np.unique(steps, return_counts=True)
        return values[counts.argmax()]
    # of decimal fractions, equal steps differ in their last digits
    coarse = np.round(steps / np.abs(ordinals).max(), DIGITS)
    values, counts = np.unique(coarse, return_counts=True)
    return np.median(steps[coarse == values[counts.argmax()]])


def _by_calendar(dates: Sequence[pd.DatetimeIndex], ahead: pd.DatetimeIndex, n_steps: int) -> pd.Index:
    """Replace what follows dates that are a calendar step apart."""
    steps = [_calendar_step(each) for each in dates]
    known = {step for step in steps if step is not None}
    parts = []
    for position, (each, step) in enumerate(zip(dates, steps, strict=True)):
        if len(each) == 1 and len(known) == 1:
            (step,) = known
        part = ahead[position * n_steps : (position + 1) * n_steps]
        if step is not None:
            last = each[-1].tz_localize(None)
            dated = pd.date_range(last, periods=n_steps + 1, freq=step)
            part = dated[dated > last][:n_steps].as_unit(part.unit)
            if each.tz is not None:
                clock = {"ambiguous": np.ones(n_steps, dtype=bool), "nonexistent": "shift_forward"}
                part = part.tz_localize(each.tz, **clock)
        parts.append(part)
    return parts[0].append(parts[1:])


def _months(dates: pd.DatetimeIndex) -> pd.offsets.BaseOffset | None:
    """Whole months from each date to the next, where they are always as many."""
    local = dates.tz_localize(None)
    apart = np.unique(np.diff(local.year * 12 + local.month))
    if len(apart) != 1 or apart[0] <= 0 or local.is_month_start.all() or local.is_month_end.all():
        return None  # starts and ends of months have steps of their own
    step = pd.DateOffset(months=int(apart[0]))
    return step if (local[:-1] + step == local[1:]).all() else None


def _calendar_step(dates: pd.DatetimeIndex) -> pd.offsets.BaseOffset | None:
    """Step of dates that are not always equally far apart, but so by the calendar."""
    if len(dates) < 3:
        return None
    months = _months(dates)
    if months is not None:
        return months
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it will return an offset, which to_offset takes too
        found = pd.infer_freq(dates)
    step = None if found is None else to_offset(found)
    is_clock_time = isinstance(step, pd.offsets.Tick) and not isinstance(step, pd.offsets.Day)
    return None if is_clock_time else step
