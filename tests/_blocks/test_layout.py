"""Layout: units of every column, tables in, Blocks, and tables out."""

import numpy as np
import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal
from sklearn.base import BaseEstimator

from skmm._blocks.columns import ColumnType
from skmm._blocks.containers import check_table, column_types
from skmm._blocks.layout import Layout, by_modality
from skmm._blocks.modalities import resolve_modalities

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


class Reader(BaseEstimator):
    """The least that scikit-learn asks of an estimator whose input is checked."""


def types_of(table):
    return column_types(table, check_table(Reader(), table, reset=True))


def fit(table, modalities=None, matrix=None, scaling=None):
    """Numbers are standardised, flags and categories left, unless ``scaling`` says otherwise."""
    matrix = np.array(table, dtype=float) if matrix is None else matrix
    types = types_of(table)
    if scaling is None:
        scaling = ["standard" if kind.kind == "continuous" else None for kind in types]
    return Layout.fit(table, matrix, resolve_modalities(table, modalities), types, scaling)


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
    assert [kind.dtype for kind in layout.types] == [*["float64"] * 3, "boolean", "float64"]
    assert not layout.without_order().any()
    assert layout.positions("even").tolist() == [0, 4, 2]


def test_units_come_from_what_is_observed(layout):
    np.testing.assert_allclose(layout.location, [3, 40, 0, 0, 5], rtol=1e-15)
    scales = [np.std([1, 2, 6]), np.std([10, 30, 80]), 1, 1, 1]
    np.testing.assert_allclose(layout.scale, scales, rtol=1e-15)
    np.testing.assert_allclose(layout.deviation, [*scales[:2], 1, np.std([0, 1, 1]), 1], rtol=1e-15)
    assert layout.informative.tolist() == [True, True, False, True, False]
    assert layout.spread[[2, 4]].tolist() == [1, 0]


def test_columns_that_are_only_scaled():
    """What is positive stays so; errors are measured in the same units."""
    layout = fit(X, scaling=["scale"] * 5)
    assert layout.location.tolist() == [0, 0, 0, 0, 5]
    np.testing.assert_allclose(
        layout.scale, [np.std([1, 2, 6]), np.std([10, 30, 80]), 1, np.std([0, 1, 1]), 1]
    )
    np.testing.assert_array_equal(layout.deviation, layout.scale)
    assert layout.informative.tolist() == [True, True, False, True, False]
    values = layout.read(X).joint.numpy()
    np.testing.assert_allclose(values[:, 1], np.array([10, 0, 30, 80]) / layout.scale[1], rtol=1e-6)
    written = layout.write(values)
    np.testing.assert_allclose(written[[0, 2, 3], 1], [10, 30, 80], rtol=1e-6)
    assert (written[:, [2, 4]] == [0, 5]).all()


def test_columns_that_are_left():
    """Counts, for example: in units of their own, and constants say something."""
    layout = fit(X, scaling=[None] * 5)
    assert layout.location.tolist() == [0] * 5
    assert layout.scale.tolist() == [1] * 5
    np.testing.assert_allclose(
        layout.deviation, [np.std([1, 2, 6]), np.std([10, 30, 80]), 1, np.std([0, 1, 1]), 1]
    )
    assert layout.informative.tolist() == [True, True, False, True, True]
    assert layout.spread.tolist() == [0, 0, 1, 0, 0]
    np.testing.assert_array_equal(layout.read(X).joint, np.nan_to_num(X))


def test_flags_are_left_and_one_never_seen_may_be_either():
    flags = pd.DataFrame(
        {"a": [True, False], "b": pd.array([None, None], dtype="boolean"), "c": [True, True]}
    )
    matrix = np.array([[1.0, NAN, 1.0], [0.0, NAN, 1.0]])
    layout = fit(flags, matrix=matrix)
    assert layout.location.tolist() == [0, 0.5, 0]
    assert layout.deviation.tolist() == [0.5, 1, 1]
    assert layout.informative.tolist() == [True, False, True]
    assert layout.spread.tolist() == [0, 0.5, 0]
    # read as numbers, they are numbers
    layout = fit(flags, matrix=matrix, scaling=["standard"] * 3)
    assert layout.location.tolist() == [0.5, 0, 1]
    assert layout.scale.tolist() == [0.5, 1, 1]
    assert layout.deviation.tolist() == [0.5, 1, 1]
    assert layout.informative.tolist() == [True, False, False]


def test_every_column_has_its_own_scaling():
    layout = fit(X[:, :3], scaling=["standard", "scale", None])
    assert layout.location.tolist() == [3, 0, 0]
    np.testing.assert_allclose(layout.scale, [np.std([1, 2, 6]), np.std([10, 30, 80]), 1])


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


# --- categories ------------------------------------------------------------------------------------------

TABLED = pd.DataFrame(
    {
        "size": pd.Categorical(["M", None, "S", "M"], categories=["S", "M", "L"], ordered=True),
        "weight": [1.0, 2.0, NAN, 6.0],
        "town": pd.Series(["Rome", "Oslo", None, "Rome"], dtype=object),
        "sold": pd.array([True, None, False, True], dtype="boolean"),
        "grade": pd.Categorical([None] * 4, categories=[1, 2]),
        "only": pd.Categorical(["x", None, "x", "x"]),
    }
)
TABLED_CODES = np.array(
    [[1, 1, 1, 1, NAN, 0], [NAN, 2, 0, NAN, NAN, NAN], [0, NAN, NAN, 0, NAN, 0], [1, 6, 1, 1, NAN, 0]]
)


@pytest.fixture
def tabled():
    return fit(TABLED, {"first": [0, 1, 4], "second": [3, 2, 5]}, matrix=TABLED_CODES)


def test_categories_are_left_as_they_are(tabled):
    assert tabled.kinds == ("ordered", "continuous", "category", "binary", "category", "category")
    assert tabled.location.tolist() == [0, 3, 0, 0, 0, 0]
    assert tabled.scale.tolist() == [1, tabled.scale[1], 1, 1, 1, 1]
    # of one S and two M: 1/3 at or below S; of two Rome and one Oslo; of flags, two of three
    third = np.sqrt(2 / 9)
    np.testing.assert_allclose(tabled.deviation, [third, tabled.scale[1], third, third, 1, 1], rtol=1e-12)
    assert tabled.informative.tolist() == [True, True, True, True, False, True]  # one category is one
    assert tabled.spread.tolist() == [0, 0, 0, 0, 0.5, 0]
    assert tabled.without_order().tolist() == [False, False, True, False, True, True]
    assert tabled.dtype == np.float32


def test_categories_are_read_and_written_by_position(tabled):
    blocks = tabled.read(TABLED_CODES)
    written = tabled.write(blocks.joint)
    observed = ~np.isnan(TABLED_CODES)
    np.testing.assert_allclose(written[observed], TABLED_CODES[observed], rtol=1e-6)
    assert (written[:, 4] == 0).all()
    np.testing.assert_array_equal(tabled.log_volume(blocks), np.log(tabled.scale[1]) * observed[:, 1])
    many = np.array([[0.0], [2.0**24 - 1]])
    layout = Layout.fit(
        many, many, {"x": np.array([0])}, [ColumnType("category", object, pd.RangeIndex(2**24))], [None]
    )
    np.testing.assert_array_equal(layout.write(layout.read(many).joint), many)


VALUES = np.array([[2.0, 1.5, 0.0, 0.75, 1.0, 0.0]] * 4)


def test_results_hold_labels(tabled):
    like = TABLED.set_axis([3, 3, 1, 0])
    wrapped = tabled.wrap(VALUES, like)
    assert wrapped.index.tolist() == [3, 3, 1, 0]
    assert wrapped.iloc[0].tolist() == ["L", 1.5, "Oslo", 0.75, 2, "x"]
    expected = [np.float32 if label in ("weight", "sold") else TABLED[label].dtype for label in TABLED]
    assert wrapped.dtypes.tolist() == expected
    assert_frame_equal(tabled.wrap_new(VALUES, like.index), wrapped)
    assert tabled.wrap_new(VALUES, None).index.equals(pd.RangeIndex(4))
    deviations = tabled.wrap_numbers(VALUES, like)
    assert_frame_equal(deviations, pd.DataFrame(VALUES.astype(np.float32), like.index, like.columns))


def test_quantiles_of_what_has_no_order_are_missing(tabled):
    values = VALUES.copy()
    values[:, tabled.without_order()] = NAN
    wrapped = tabled.wrap(values, TABLED)
    assert wrapped.isna().all().tolist() == tabled.without_order().tolist()
    assert wrapped["grade"].dtype == TABLED["grade"].dtype


def test_new_rows_take_the_types_of_fit(tabled):
    rows = tabled.restore(VALUES)
    assert rows.dtypes.equals(TABLED.dtypes)
    assert rows.iloc[0].tolist() == ["L", 1.5, "Oslo", True, 2, "x"]


def test_completion(tabled):
    before = TABLED.copy(deep=True)
    completed = tabled.complete(TABLED, TABLED_CODES, VALUES)
    assert completed.dtypes.equals(TABLED.dtypes)
    known = TABLED.notna().to_numpy()
    assert completed.to_numpy(object)[known].tolist() == TABLED.to_numpy(object)[known].tolist()
    assert completed.iloc[1].tolist() == ["L", 2.0, "Oslo", True, 2, "x"]
    assert_frame_equal(TABLED, before)


def test_completion_leaves_categories_that_fit_has_not_seen(tabled):
    """They are read as missing, but they are there."""
    new = TABLED.assign(town=pd.Series(["Lima", None, "Rome", "Oslo"], dtype=object))
    codes = TABLED_CODES.copy()
    codes[:, 2] = [NAN, NAN, 1, 0]
    completed = tabled.complete(new, codes, VALUES)
    assert completed["town"].tolist() == ["Lima", "Oslo", "Rome", "Oslo"]
    assert completed["town"].dtype == object
    array = tabled.complete(new.to_numpy(object), codes, VALUES)
    assert array[:, 2].tolist() == ["Lima", "Oslo", "Rome", "Oslo"]
    assert array[1].tolist() == ["L", 2.0, "Oslo", True, 2, "x"]


@pytest.mark.parametrize("index", [None, pd.Index(list("wxyz"), name="who")])
def test_probabilities_are_labelled(tabled, index):
    tables = {
        3: np.full((4, 2), [0.25, 0.75], dtype=np.float32),
        0: np.full((4, 3), [0.5, 0.25, 0.25], dtype=np.float32),
        4: np.full((4, 2), [0.9, 0.1], dtype=np.float32),
        5: np.ones((4, 1), dtype=np.float32),
    }
    before = {column: table.copy() for column, table in tables.items()}
    frame = tabled.probability_frame(tables, index)
    assert frame.columns.tolist() == [
        *[("size", "S"), ("size", "M"), ("size", "L"), ("sold", False), ("sold", True)],
        *[("grade", 1), ("grade", 2), ("only", "x")],
    ]
    assert frame.columns.names == ["column", "category"]
    assert (frame.dtypes == np.float32).all()
    assert frame.iloc[0].tolist() == [0.5, 0.25, 0.25, 0.25, 0.75, 0.5, 0.5, 1]  # nothing is known of grades
    assert frame.index.equals(pd.RangeIndex(4) if index is None else index)
    assert frame["size", "M"].tolist() == [0.25] * 4
    assert frame["sold"].columns.tolist() == [False, True]
    assert all((tables[column] == before[column]).all() for column in tables)


def test_probabilities_of_columns_with_levels(tabled):
    levels = pd.MultiIndex.from_product([["shop"], TABLED.columns], names=["modality", None])
    layout = fit(TABLED.set_axis(levels, axis=1), matrix=TABLED_CODES)
    frame = layout.probability_frame({2: np.full((2, 2), 0.5)}, None)
    assert frame.columns.tolist() == [("shop", "town", "Oslo"), ("shop", "town", "Rome")]
    assert frame.columns.names == ["modality", None, "category"]
    assert frame["shop", "town"].columns.tolist() == ["Oslo", "Rome"]


def test_probabilities_of_arrays_and_of_odd_labels():
    array = np.array([["a", True], ["b", False]], dtype=object)
    codes = np.array([[0.0, 1.0], [1.0, 0.0]])
    both = {0: np.full((2, 2), 0.5), 1: np.full((2, 2), 0.5)}
    frame = fit(array, matrix=codes).probability_frame(both, None)
    assert frame.columns.tolist() == [(0, "a"), (0, "b"), (1, False), (1, True)]
    # labels that are tuples, but not levels
    table = pd.DataFrame(array, columns=pd.Index([("p", 1), ("q", 2)], tupleize_cols=False))
    frame = fit(table, matrix=codes).probability_frame(both, None)
    assert frame.columns.tolist() == [(("p", 1), "a"), (("p", 1), "b"), (("q", 2), False), (("q", 2), True)]
    # categories that are neither text nor numbers
    cut = pd.DataFrame(
        {"a": pd.cut([1, 9], [0, 5, 10]), "b": pd.Categorical(pd.to_datetime(["2020", "2021"]))}
    )
    frame = fit(cut, matrix=codes).probability_frame(both, None)
    assert frame["a"].columns.tolist() == [pd.Interval(0, 5), pd.Interval(5, 10)]
    assert frame["b"].columns.tolist() == pd.to_datetime(["2020", "2021"]).tolist()


def test_probabilities_of_what_was_counted_or_read_as_flags():
    matrix = np.array([[0.0, 1.0], [1.0, 0.0]])
    numbers = types_of(np.array([[7.0, 1.0], [3.0, 0.0]]))
    counted = [numbers[0].counted(np.array([7.0, 3.0]), "ordered"), numbers[1]]
    layout = Layout.fit(matrix, matrix, {"x": np.arange(2)}, counted, [None, None])
    frame = layout.probability_frame({j: np.full((2, 2), 0.5) for j in (0, 1)}, None)
    assert frame.columns.tolist() == [(0, 3), (0, 7), (1, 0), (1, 1)]


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
