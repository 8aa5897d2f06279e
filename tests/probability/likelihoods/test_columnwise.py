"""Several likelihoods in one modality, and what makes them."""

from functools import partial

import pytest
import torch
from torch import nn

from skmm.probability.likelihoods.categories import Bernoulli, Categorical, Ordinal
from skmm.probability.likelihoods.columnwise import Columnwise
from skmm.probability.likelihoods.continuous import Normal
from skmm.probability.likelihoods.contract import Likelihood
from skmm.probability.likelihoods.counts import Poisson
from skmm.probability.likelihoods.low_rank import LowRankNormal
from skmm.probability.likelihoods.registry import (
    LIKELIHOODS,
    build_likelihood,
    likelihood_of,
    scaling_of,
    suits,
)

MAKERS = [Categorical, Normal, Poisson, Bernoulli, Normal, Ordinal, Categorical, LowRankNormal, LowRankNormal]
N_CATEGORIES = [3, 0, 0, 0, 0, 4, 2, 0, 0]
COLUMNS = [[0, 6], [1, 4], [2], [3], [5], [7, 8]]
N = 9


@pytest.fixture
def values():
    rows = torch.randn(50, N, dtype=torch.float64)
    for column, size in ((0, 3), (5, 4), (6, 2), (3, 2), (2, 6)):
        rows[:, column] = torch.randint(size, (50,)).double()
    return rows


@pytest.fixture
def mixed(values):
    """A likelihood of mixed columns, and its parts applied to the same decoder's output."""
    likelihood = build_likelihood(MAKERS, N_CATEGORIES).double()
    with torch.no_grad():
        likelihood.start(values, torch.rand(50, N) < 0.8)
        for parameter in likelihood.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    raw = torch.randn(50, likelihood.n_raw, dtype=torch.float64)
    pieces = raw.split([part.n_raw for part in likelihood.parts], dim=-1)
    return likelihood, raw, [part(piece) for part, piece in zip(likelihood.parts, pieces, strict=True)]


def in_order(pieces):
    out = torch.empty(*pieces[0].shape[:-1], N, dtype=pieces[0].dtype)
    for piece, columns in zip(pieces, COLUMNS, strict=True):
        out[..., columns] = piece
    return out


class TestColumnwise:
    def test_parts(self, mixed):
        likelihood = mixed[0]
        assert isinstance(likelihood, Columnwise)
        assert [type(part) for part in likelihood.parts] == list(dict.fromkeys(MAKERS))
        assert [columns.tolist() for columns in likelihood.columns] == COLUMNS
        assert likelihood.parts[0].n_categories == (3, 2)
        assert likelihood.n_features == N
        assert likelihood.n_raw == 5 + 2 + 1 + 1 + 1 + 2
        assert likelihood.n_inputs == 5 + 2 + 1 + 1 + 1 + 2
        assert likelihood.n_statistics == 5 + 2 + 1 + 1 + 4 + 2

    def test_moments_stand_part_by_part(self, mixed):
        likelihood, raw, parts = mixed
        torch.testing.assert_close(likelihood(raw).mean, torch.cat([part.mean for part in parts], dim=-1))
        torch.testing.assert_close(likelihood(raw).stddev, torch.cat([part.stddev for part in parts], dim=-1))

    def test_log_prob(self, mixed, values):
        likelihood, raw, parts = mixed
        observed = torch.rand(50, N) < 0.6
        expected = sum(
            part.log_prob(values[:, columns], observed[:, columns])
            for part, columns in zip(parts, COLUMNS, strict=True)
        )
        torch.testing.assert_close(likelihood(raw).log_prob(values, observed), expected)
        draws = likelihood(raw.expand(3, -1, -1)).log_prob(values, observed)
        torch.testing.assert_close(draws, expected.expand(3, -1))

    def test_given(self, mixed, values):
        """Each part learns from its own columns."""
        likelihood, raw, parts = mixed
        observed = torch.rand(50, N) < 0.6
        expected = [
            part.given(values[:, columns], observed[:, columns]).mean
            for part, columns in zip(parts, COLUMNS, strict=True)
        ]
        actual = likelihood(raw).given(values, observed).mean
        torch.testing.assert_close(actual, torch.cat(expected, dim=-1))
        assert not torch.equal(actual, likelihood(raw).mean)  # the correlated columns

    @pytest.mark.parametrize("shape", [(), (1,), (N,), (50, 1), (50, N), (3, 1, 1)])
    def test_quantile(self, mixed, shape):
        likelihood, raw, parts = mixed
        q = torch.rand(shape, dtype=torch.float64)
        full = q.expand(*torch.broadcast_shapes(shape, (50, N)))
        expected = in_order(
            [part.quantile(full[..., columns]) for part, columns in zip(parts, COLUMNS, strict=True)]
        )
        torch.testing.assert_close(likelihood(raw).quantile(q), expected)

    def test_sample(self, mixed):
        likelihood, raw, parts = mixed
        draws = likelihood(raw.expand(4000, 50, -1)).sample().detach()
        assert set(draws[..., 0].unique().tolist()) == {0.0, 1.0, 2.0}
        assert set(draws[..., 3].unique().tolist()) == {0.0, 1.0}
        for index in (1, 2, 3):  # of the others, the mean is no value
            columns = COLUMNS[index]
            error = parts[index].stddev.max().item() / 4000**0.5
            torch.testing.assert_close(draws[..., columns].mean(0), parts[index].mean, rtol=0, atol=5 * error)

    def test_features(self, mixed, values):
        likelihood = mixed[0]
        observed = torch.rand(50, N) < 0.6
        expected = [
            part.features(values[:, columns], observed[:, columns])
            for part, columns in zip(likelihood.parts, COLUMNS, strict=True)
        ]
        by_column = {}
        for part, columns, piece in zip(likelihood.parts, COLUMNS, expected, strict=True):
            by_column |= dict(zip(columns, piece.split(part.input_sizes, dim=-1), strict=True))
        assert [len(by_column[column].T) for column in range(N)] == list(likelihood.input_sizes)
        features = likelihood.features(values, observed)
        assert features.shape == (50, likelihood.n_inputs)
        # in the order of the table: a user's encoder knows it, and nothing of parts
        torch.testing.assert_close(features, torch.cat([by_column[column] for column in range(N)], dim=-1))

    def test_start(self, mixed, values):
        """Each part sees its own columns."""
        likelihood = mixed[0]
        with torch.no_grad():
            likelihood.start(values, torch.ones_like(values, dtype=torch.bool))
        poisson = likelihood.parts[2]
        torch.testing.assert_close(poisson.offset.exp(), values[:, [2]].mean(0))

    def test_summary_is_in_the_order_of_the_table(self, mixed):
        likelihood, raw, parts = mixed
        expected = [
            part.summary(distribution.mean, distribution.stddev)
            for part, distribution in zip(likelihood.parts, parts, strict=True)
        ]
        value, stddev = likelihood.summary(likelihood(raw).mean, likelihood(raw).stddev)
        torch.testing.assert_close(value, in_order([piece for piece, _ in expected]))
        torch.testing.assert_close(stddev, in_order([piece for _, piece in expected]))

    def test_probabilities_go_by_the_columns_of_the_table(self, mixed):
        likelihood, raw, parts = mixed
        probabilities = likelihood.probabilities(likelihood(raw).mean)
        assert {position: part.shape[-1] for position, part in probabilities.items()} == {
            0: 3,
            3: 2,
            5: 4,
            6: 2,
        }
        torch.testing.assert_close(probabilities[6], parts[0].mean[:, 3:])
        torch.testing.assert_close(probabilities[3][:, 1], parts[3].mean[:, 0])
        for part in probabilities.values():
            torch.testing.assert_close(part.sum(-1), torch.ones(50, dtype=torch.float64))

    def test_support_errors_name_the_users_column(self, mixed, values):
        labels = list("abcdefghi")
        values[0, 1] = 0.5  # a continuous column may hold it
        mixed[0].check(values, torch.ones_like(values, dtype=torch.bool), "m", labels)
        values[1, 3] = 0.5
        with pytest.raises(ValueError, match=r"Modality 'm' .* column 'd' holds 0\.5"):
            mixed[0].check(values, torch.ones_like(values, dtype=torch.bool), "m", labels)

    def test_columns_are_no_weights(self, mixed):
        """They come from the layout, but move with the module."""
        likelihood = mixed[0]
        assert {"place", "columns_0"} <= dict(likelihood.named_buffers()).keys()
        assert not [key for key in likelihood.state_dict() if "columns" in key or "place" in key]


# choosing


class Scaled(Normal):
    scaling = None


def test_building():
    assert type(build_likelihood([Normal, Normal], [0, 0])) is Normal
    assert build_likelihood([Scaled, Scaled], [0, 0]).n_raw == 2
    assert build_likelihood([Categorical, Categorical], [3, 4]).n_raw == 7
    rank_1 = partial(LowRankNormal, rank=1)
    assert build_likelihood([rank_1] * 6, [0] * 6).factor.shape == (6, 1)
    mixed = build_likelihood([Normal, rank_1, Normal, rank_1], [0] * 4)
    assert [type(part) for part in mixed.parts] == [Normal, LowRankNormal]


def test_a_subclass_needs_forward_only():
    class UnitNormal(Likelihood):
        def forward(self, raw):
            return Normal(self.n_features)(raw)

    likelihood = build_likelihood([UnitNormal, UnitNormal], [0, 0])
    assert likelihood(torch.zeros(3, 2)).mean.shape == (3, 2)
    assert likelihood.probabilities(torch.zeros(3, 2)) == {}


class Bare(nn.Module):
    def __init__(self, n_features):
        super().__init__()
        self.n_raw = n_features


@pytest.mark.parametrize(
    ("maker", "message"),
    [
        (Bare, "without n_inputs, n_statistics, input_sizes, width, .* summary, probabilities, forward"),
        (lambda n_features: None, "returned None without n_raw, .* probabilities"),
        (Likelihood, "without forward"),
    ],
)
@pytest.mark.parametrize("others", [[], [Normal]])
def test_what_is_no_likelihood(maker, message, others):
    with pytest.raises(TypeError, match=rf"must return a Module with n_raw, .*{message}"):
        build_likelihood([maker, *others], [0, *(0 for _ in others)])


@pytest.mark.parametrize(
    ("spec", "kind", "expected"),
    [
        ("auto", "continuous", "normal"),
        ("auto", "binary", "bernoulli"),
        ("auto", "category", "categorical"),
        ("auto", "ordered", "ordinal"),
        ("poisson", "continuous", "poisson"),
        (Scaled, "binary", Scaled),
    ],
)
def test_the_likelihood_of_a_column(spec, kind, expected):
    assert likelihood_of(spec, kind) is LIKELIHOODS.get(expected, expected)


def test_unknown_names():
    with pytest.raises(ValueError, match=r"no likelihood 'gauss'; choose 'auto', .*'gamma'.*'normal'"):
        likelihood_of("gauss", "continuous")


@pytest.mark.parametrize(
    ("maker", "expected"),
    [
        (Normal, "standard"),
        (LIKELIHOODS["gamma"], "scale"),
        (Bernoulli, None),
        (Scaled, None),
        (lambda n_features: Normal(n_features), "standard"),
    ],
)
def test_scaling(maker, expected):
    assert scaling_of(maker) == expected


def test_unknown_scaling():
    class Odd(Normal):
        scaling = "minmax"

    with pytest.raises(ValueError, match="must be 'standard', 'scale' or None, got 'minmax'"):
        scaling_of(Odd)


@pytest.mark.parametrize(
    ("maker", "expected"),
    [
        (Normal, {"continuous", "binary"}),
        (LIKELIHOODS["gamma"], {"continuous"}),
        (Poisson, {"continuous", "binary"}),
        (Categorical, {"category", "ordered"}),
        (Ordinal, {"ordered"}),
        (Bernoulli, {"continuous", "binary"}),
        (lambda n_features: Normal(n_features), {"continuous", "binary"}),
    ],
)
def test_which_columns_a_likelihood_suits(maker, expected):
    assert {
        kind for kind in ("continuous", "binary", "category", "ordered") if suits(maker, kind)
    } == expected
