"""Layout: units of every column, tables in, Blocks, and tables out."""

import numpy as np
import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal

from skmm._blocks.layout import Layout, by_modality

NAN = np.nan
X = np.array(
    [
        [1.0, 10.0, NAN, 0.0, 5.0],
        [2.0, NAN, NAN, 1.0, 5.0],
        [NAN, 30.0, NAN, 1.0, NAN],
        [6.0, 80.0, NAN, NAN, 5.0],
    ]
)
# columns 0 and 1 vary, 2 was never observed, 3 is left as it is, 4 is constant
MODALITIES = {"odd": [3, 1], "even": [0, 4, 2]}


def standardised(name, kind):
    return kind == "continuous"


def as_they_are(name, kind):
    return False


def fit(table, modalities=None, matrix=None, standardised=standardised):
    matrix = np.array(table, dtype=float) if matrix is None else matrix
    return Layout.fit(table, matrix, modalities, standardised)


@pytest.fixture
def layout():
    frame = pd.DataFrame(X, columns=list("pqrst")).astype({"s": "boolean"})
    return fit(frame, MODALITIES, matrix=X)


def test_modalities_and_types(layout):
    assert layout.names == ("odd", "even")
    assert [columns.tolist() for columns in layout.columns] == [[3, 1], [0, 4, 2]]
    assert layout.order.tolist() == [3, 1, 0, 4, 2]
    assert layout.sizes == (2, 3)
    assert layout.n_features == 5
    assert layout.labels == ("p", "q", "r", "s", "t")
    assert layout.kinds == ("continuous", "continuous", "continuous", "binary", "continuous")
    assert layout.positions("even").tolist() == [0, 4, 2]


def test_units_come_from_what_is_observed(layout):
    np.testing.assert_allclose(layout.location, [3, 40, 0, 0, 5], rtol=1e-15)
    scales = [np.std([1, 2, 6]), np.std([10, 30, 80]), 1, 1, 1]
    np.testing.assert_allclose(layout.scale, scales, rtol=1e-15)
    assert layout.informative.tolist() == [True, True, False, True, False]
    assert layout.spread[[2, 4]].tolist() == [1, 0]


def test_standardisation_is_asked_for_by_modality_and_type():
    asked = []
    fit(pd.DataFrame(X > 2), {"b": [1, 0], "a": [2, 3, 4]}, standardised=lambda *what: asked.append(what))
    assert asked == [("b", "binary")] * 2 + [("a", "binary")] * 3


def test_columns_that_are_not_standardised():
    layout = fit(X, standardised=as_they_are)
    assert layout.location.tolist() == [0, 0, 0.5, 0, 0]  # a flag never seen may be either
    assert layout.scale.tolist() == [1] * 5
    assert layout.informative.tolist() == [True, True, False, True, True]
    assert layout.spread[2] == 0.5


def test_reading(layout):
    blocks = layout.read(X)
    assert blocks.sizes == (2, 3)
    assert blocks.joint.dtype == torch.float32
    odd, even = (values.numpy() for values in blocks.values)
    np.testing.assert_allclose(odd[:, 0], [0, 1, 1, 0])
    np.testing.assert_allclose(odd[:, 1], (np.array([10, 40, 30, 80]) - 40) / layout.scale[1], rtol=1e-6)
    np.testing.assert_allclose(even[:, 0], (np.array([1, 2, 3, 6]) - 3) / layout.scale[0], rtol=1e-6)
    assert (even[:, 1:] == 0).all()
    assert blocks.observed[0].tolist() == [[True, True], [True, False], [True, True], [False, True]]
    # a column that did not vary, or was never seen, is no evidence
    assert blocks.observed[1].tolist() == [[seen, False, False] for seen in (True, True, False, True)]
    assert blocks.present.tolist() == [[True, True, True, True], [True, True, False, True]]


def test_columns_without_information_in_fit_have_none_later(layout):
    later = np.array([[NAN, NAN, 7.0, NAN, 8.0]])
    blocks = layout.read(later)
    assert not blocks.joint_observed.any()
    assert blocks.joint.isfinite().all()


def test_what_is_read_is_written_back(layout):
    observed = ~np.isnan(X)
    written = layout.write(layout.read(X).joint)
    assert written.dtype == np.float64
    np.testing.assert_allclose(written[observed], X[observed], rtol=1e-6, atol=1e-6)
    assert (written[:, 2] == 0).all()
    assert (written[:, 4] == 5).all()


def test_writing_takes_leading_axes_and_tensors(layout):
    joint = np.random.default_rng(0).normal(size=(7, 4, 5)).astype(np.float32)
    written = layout.write(torch.tensor(joint, requires_grad=True))
    assert written.shape == (7, 4, 5)
    np.testing.assert_array_equal(written, layout.write(joint))
    np.testing.assert_array_equal(written[3], layout.write(joint[3]))
    np.testing.assert_allclose(written[..., 1], 40 + layout.scale[1] * joint[..., 1].astype(float))


def test_deviations_are_scaled_but_not_moved(layout):
    deviations = layout.write_scale(torch.full((2, 5), 0.5))
    np.testing.assert_allclose(deviations, [[layout.scale[0] / 2, layout.scale[1] / 2, 1, 0.5, 0]] * 2)


def test_log_volume_counts_what_is_observed_and_informative(layout):
    p, q = np.log(layout.scale[:2])
    np.testing.assert_allclose(layout.log_volume(layout.read(X)), [p + q, p, q, p + q], rtol=1e-12)


# --- magnitudes ------------------------------------------------------------------------------------------

UNIT = np.array([0.25, -1.5, 1.25, 0.5, -0.5])


@pytest.mark.parametrize("magnitude", [1e308, 1e200, 1e20, 1.0, 1e-20, 1e-200, 1e-305])
@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_every_magnitude_can_be_standardised(magnitude, offset):
    matrix = (magnitude * (offset + UNIT / 2))[:, None]
    layout = fit(matrix)
    assert layout.informative.all()
    np.testing.assert_allclose(layout.location / magnitude, offset, atol=1e-15)
    np.testing.assert_allclose(layout.scale / magnitude, np.std(UNIT / 2), rtol=1e-13)
    blocks = layout.read(matrix)
    np.testing.assert_allclose(blocks.joint.numpy()[:, 0], UNIT / np.std(UNIT), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        layout.write(blocks.joint) / magnitude, matrix / magnitude, rtol=1e-6, atol=1e-6
    )


def test_small_variation_on_a_large_mean():
    matrix = 1e8 + np.random.default_rng(0).normal(size=(1000, 1))
    layout = fit(matrix)
    np.testing.assert_allclose(layout.scale, np.std(matrix - 1e8), rtol=1e-9)
    np.testing.assert_allclose(layout.read(matrix).joint.numpy().std(), 1, rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, -0.1, 1 / 3, 1e8 + 0.1, 1e200, 1e-200, -1.7e308, 5e-324])
@pytest.mark.parametrize("n_rows", [1, 3, 10, 1001])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_is_recognised_and_given_back_exactly(value, n_rows, dtype):
    if dtype == np.float32 and not 1e-38 < abs(value) < 1e38:
        value = 0.7
    matrix = np.full((n_rows + 1, 1), value, dtype=dtype)
    matrix[0] = NAN
    layout = fit(matrix, matrix=matrix)
    assert not layout.informative.any()
    assert layout.location[0] == dtype(value)
    assert layout.scale[0] == 1
    assert (layout.write(np.full((2, 1), 3.0)) == dtype(value)).all()
    assert (layout.write_scale(np.ones((2, 1))) == 0).all()


def test_a_constant_may_differ_by_rounding():
    matrix = np.array([[0.3], [0.1 + 0.2], [0.3]])
    assert matrix[0] != matrix[1]
    assert not fit(matrix).informative.any()
    assert fit(np.array([[0.3], [0.3 + 1e-12]])).informative.all()
    assert fit(np.array([[0.0], [1e-300]])).informative.all()


def test_float32_is_not_summed_in_float32():
    matrix = (1000 + np.random.default_rng(0).normal(size=(100_000, 1))).astype(np.float32)
    layout = fit(matrix[:2], matrix=matrix)
    np.testing.assert_allclose(layout.location, matrix.mean(dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(layout.scale, matrix.std(dtype=np.float64), rtol=1e-6)


def test_the_matrix_is_not_written_to(layout):
    matrix = X.copy()
    matrix.flags.writeable = False
    fit(matrix, matrix=matrix)
    layout.read(matrix)
    np.testing.assert_array_equal(matrix, X)


def test_values_that_no_network_can_take_are_refused(layout):
    far = X.copy()
    far[2, 1] = -1e300
    with pytest.raises(
        ValueError, match=r"Column 'q' holds -1e\+300 in row 2, too far .* \(mean 40, .* put NaN if the value"
    ):
        layout.read(far)
    far[2, 1], far[2, 4] = NAN, 1e300  # of no influence: the column was constant in fit
    assert layout.read(far).joint.isfinite().all()


# --- results ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        ([1.0, 2.0, 3.0], np.float32),
        ([1e5, 1e5 + 10, 1e5 - 10], np.float32),
        ([2000.0, 2001.0, 2002.0], np.float32),
        ([1e8, 1e8 + 1, 1e8 + 2], np.float64),
        ([1.7e9, 1.7e9 + 60, 1.7e9 + 120], np.float64),  # minutes in seconds since 1970
        ([1e200, 2e200, 3e200], np.float64),
        ([1e37, 2e37, 3e37], np.float64),
        ([1e-200, 2e-200, 3e-200], np.float64),
        ([1e9, 1e9, 1e9], np.float32),  # constants: 64 more or less are nothing
        ([1e200, 1e200, 1e200], np.float64),
        ([0.0, 0.0, 0.0], np.float32),
        ([NAN, NAN, NAN], np.float32),
    ],
)
def test_results_are_float32_where_that_is_enough(column, dtype):
    matrix = np.column_stack([[0.0, 1.0, 2.0], column])
    layout = fit(matrix)
    assert layout.dtype == dtype
    results = layout.wrap(layout.write(np.full((3, 2), 2.0)), matrix)
    assert results.dtype == dtype
    expected = layout.location + 2 * layout.scale * layout.informative
    np.testing.assert_allclose(results, np.tile(expected, (3, 1)), rtol=1e-6)


def test_results_look_like_X(layout):
    like = pd.DataFrame(X, columns=list("pqrst"), index=[3, 3, 1, 0])
    values = np.arange(20.0).reshape(4, 5)
    assert_frame_equal(
        layout.wrap(values, like), pd.DataFrame(values.astype(np.float32), like.index, like.columns)
    )
    assert type(layout.wrap(values, X)) is np.ndarray


def test_completion_rounds_the_flags_of_fit(layout):
    later = pd.DataFrame(X, columns=list("pqrst"))  # the flags as 0.0 and 1.0
    completed = layout.complete(later, X, np.full(X.shape, 0.75))
    assert_frame_equal(completed, later.fillna({"p": 0.75, "q": 0.75, "r": 0.75, "s": 1.0, "t": 0.75}))


# --- columns later ---------------------------------------------------------------------------------------

LEVELS = pd.MultiIndex.from_tuples([("a", "x"), ("a", "y"), ("b", "x")], names=["modality", "feature"])
TABLE = pd.DataFrame(np.eye(3), columns=LEVELS)
WIDER = pd.DataFrame(np.eye(3, 4), columns=[*LEVELS, ("c", "")])
LABELLED = pd.DataFrame(np.eye(3), columns=[5, 6, 7])


@pytest.mark.parametrize(
    ("seen", "later"),
    [
        (TABLE, TABLE.iloc[:1]),
        (TABLE, TABLE.rename_axis(columns=[None, None])),  # names of levels name no column
        (TABLE, TABLE.to_numpy()),
        (TABLE.to_numpy(), TABLE),
        (LABELLED, LABELLED.astype("Float64")),
    ],
)
def test_the_columns_of_fit_pass(seen, later):
    fit(seen).check_columns(later)


@pytest.mark.parametrize(
    ("seen", "later", "problem"),
    [
        (TABLE, TABLE[["b", "a"]], r"another order than \('a', 'x'\), \('a', 'y'\), \('b', 'x'\)"),
        (TABLE, TABLE[["a"]], r"1 missing \(\('b', 'x'\)\), add them, with NaN if unknown\.$"),
        (
            TABLE,
            WIDER,
            r"1 unknown \(\('c', ''\)\), drop them\.$",
        ),
        (
            TABLE,
            TABLE.rename(columns={"y": "z"}),
            r"1 missing \(\('a', 'y'\)\).*; 1 unknown \(\('a', 'z'\)\)",
        ),
        (
            TABLE,
            TABLE.droplevel(0, axis=1).set_axis(list("xyz"), axis=1),
            r"3 missing .*; 3 unknown \('x', 'y', 'z'\)",
        ),
        (TABLE, pd.DataFrame(np.eye(3)), r"3 missing .*; 3 unknown \(0, 1, 2\)"),
        (LABELLED, LABELLED[[7, 6, 5]], "another order than 5, 6, 7"),
        (LABELLED, LABELLED.rename(columns={7: 8}), r"1 missing \(7\).*; 1 unknown \(8\)"),
        (LABELLED, LABELLED[[5, 5, 6, 7]], "another order"),
        (pd.DataFrame(np.eye(9)), pd.DataFrame(np.eye(2)), r"7 missing \(2, 3, 4, 5, 6 and 2 more\)"),
    ],
)
def test_other_columns_are_refused(seen, later, problem):
    with pytest.raises(ValueError, match=f"The columns of X are not those seen in fit: .*{problem}"):
        fit(seen).check_columns(later)


# --- parameters by modality ------------------------------------------------------------------------------


def test_one_value_or_one_by_modality():
    names = ("audio", "video", 3)
    assert by_modality(0.5, names, parameter="dropout", default=0.0) == (0.5, 0.5, 0.5)
    assert by_modality({3: 1, "audio": 2}, names, parameter="dropout", default=0.0) == (2, 0.0, 1)
    assert by_modality({}, iter(names), parameter="dropout", default=None) == (None, None, None)
    with pytest.raises(
        ValueError, match=r"dropout names the unknown modality 'text'; X has \['audio', 'video', 3\]"
    ):
        by_modality({"audio": 1, "text": 2}, names, parameter="dropout", default=0.0)
