"""Likelihoods of flags and categories: what is special about each."""

import math

import numpy as np
import pytest
import torch

from skmm.probability.likelihoods.categories import Bernoulli, Categorical, Ordinal

SIZES = [3, 1, 5, 2]


@torch.no_grad()
def started(likelihood, values, observed):
    likelihood.start(values, observed)
    return likelihood


def test_bernoulli_is_exact_where_probabilities_saturate():
    likelihood = Bernoulli(2)
    logits = torch.tensor([[200.0, -200.0]])
    observed = torch.tensor([[True, True]])
    distribution = likelihood(logits)
    assert distribution.log_prob(torch.tensor([[1.0, 0.0]]), observed).item() == 0.0
    assert distribution.log_prob(torch.tensor([[0.0, 1.0]]), observed).item() == -400.0
    torch.testing.assert_close(distribution.stddev, torch.zeros(1, 2))


def test_bernoulli_features_tell_zero_from_missing():
    values, observed = torch.tensor([[0.0, 1.0, 1.0]]), torch.tensor([[True, True, False]])
    assert Bernoulli(3).features(values, observed).tolist() == [[-1.0, 1.0, 0.0]]


def test_bernoulli_starts_at_the_smoothed_frequencies():
    values = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    observed = torch.tensor([[True, True, False]] * 3)
    mean = started(Bernoulli(3), values, observed)(torch.zeros(3)).mean
    torch.testing.assert_close(mean, torch.tensor([2.5 / 4, 0.5 / 4, 0.5]))


def test_bernoulli_probabilities():
    mean = torch.rand(5, 2)
    probabilities = Bernoulli(2).probabilities(mean)
    assert [*probabilities] == [0, 1]
    torch.testing.assert_close(probabilities[1], torch.stack([1 - mean[:, 1], mean[:, 1]], dim=-1))


@pytest.mark.parametrize("maker", [Categorical, Ordinal])
class TestCategories:
    def test_start_at_the_smoothed_frequencies(self, maker):
        """Also of a category that no row has, and of a column that was never observed."""
        values = torch.stack([torch.arange(60) % n for n in (2, 1, 4, 2)], dim=1).double()
        observed = torch.rand(60, 4) < 0.8
        observed[:, 3] = False
        likelihood = started(maker(SIZES).double(), values, observed)
        raw = torch.zeros(1, likelihood.n_raw, dtype=torch.float64)
        probabilities = likelihood.probabilities(likelihood(raw).mean[0])
        for j, size in enumerate(SIZES):
            count = np.bincount(values[observed[:, j], j].long(), minlength=size)
            expected = (count + 1 / size) / (count.sum() + 1)
            np.testing.assert_allclose(probabilities[j].detach(), expected, rtol=1e-4)

    def test_probabilities_are_the_means_by_column(self, maker):
        mean = torch.rand(2, 7, 11)
        probabilities = maker(SIZES).probabilities(mean)
        assert [part.shape[-1] for part in probabilities.values()] == SIZES
        torch.testing.assert_close(torch.cat([*probabilities.values()], dim=-1), mean)

    def test_summary_is_the_most_probable_category(self, maker):
        mean = torch.tensor([[0.2, 0.5, 0.3, 1.0, 0.1, 0.1, 0.2, 0.1, 0.5, 0.6, 0.4]])
        stddev = torch.arange(11.0)[None]
        value, spread = maker(SIZES).summary(mean, stddev)
        assert value.tolist() == [[1.0, 0.0, 4.0, 0.0]]
        assert spread.tolist() == [[1.0, 3.0, 8.0, 9.0]]
        assert value.dtype == mean.dtype

    def test_each_column_is_as_on_its_own(self, maker):
        """Padding to the longest column changes nothing."""
        together = maker(SIZES).double()
        with torch.no_grad():
            for parameter in together.parameters():
                parameter.normal_()
        raw = torch.randn(6, together.n_raw, dtype=torch.float64)
        values = torch.stack([torch.randint(size, (6,)) for size in SIZES], dim=1).double()
        pieces = raw.split(SIZES if maker is Categorical else 1, dim=-1)
        expected = []
        for j, size in enumerate(SIZES):
            alone = maker([size]).double()
            if maker is Ordinal:
                alone.first.data = together.first.data[[j]]
                alone.log_gaps.data = together.log_gaps.data[[j], : max(0, size - 2)]
            column = values[:, [j]]
            expected.append(alone(pieces[j]).log_prob(column, torch.ones_like(column, dtype=torch.bool)))
        actual = together(raw).log_prob(values, torch.ones_like(values, dtype=torch.bool))
        torch.testing.assert_close(actual, torch.stack(expected).sum(0))

    def test_quantiles_never_pass_the_last_category(self, maker):
        likelihood = maker(SIZES)
        distribution = likelihood(torch.randn(1000, likelihood.n_raw))
        last = torch.tensor(SIZES) - 1
        assert (distribution.quantile(torch.tensor(1.0)) <= last).all()
        assert (distribution.quantile(torch.tensor(1e-7)) == 0).all()
        assert (distribution.sample() <= last).all()

    def test_probabilities_of_nearly_one(self, maker):
        likelihood = maker([3])
        raw = torch.zeros(1, likelihood.n_raw)
        raw[0, 0] = 40.0 if maker is Categorical else -40.0
        stddev = likelihood(raw).stddev[0]
        assert stddev.isfinite().all()
        assert stddev[0].item() == pytest.approx(
            math.sqrt(2 * math.exp(-40)) if maker is Categorical else 0, abs=1e-8
        )


def test_categorical_features_are_indicators():
    values = torch.tensor([[2.0, 0.0, 4.0, 1.0]])
    observed = torch.tensor([[True, True, True, False]])
    features = Categorical(SIZES).features(values, observed)
    assert features.tolist() == [[0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0]]


class TestOrdinal:
    def test_cutpoints_increase_whatever_was_learned(self):
        likelihood = Ordinal(SIZES)
        with torch.no_grad():
            likelihood.log_gaps.fill_(-100.0)
        assert (likelihood.gaps > 0).all()
        codes = torch.tensor([[1.0, 0.0, 2.0, 0.0]])
        assert (
            likelihood(torch.zeros(1, 4)).log_prob(codes, torch.ones(1, 4, dtype=torch.bool)).isfinite().all()
        )

    def test_a_larger_output_means_a_later_category(self):
        likelihood = Ordinal([4])
        raw = torch.linspace(-8, 8, 20)[:, None]
        expected = (likelihood(raw).mean @ torch.arange(4.0)).detach()
        assert (expected.diff() > 0).all()

    def test_rare_categories_have_accurate_probabilities(self):
        """In single precision, where sigmoids differ in their last digit only."""
        likelihood, observed = Ordinal([3]), torch.tensor([[True]])
        raw = torch.tensor([[-25.0]])
        actual = likelihood(raw).log_prob(torch.tensor([[1.0]]), observed).item()
        first, gap = likelihood.first.item(), likelihood.gaps.item()
        # survival functions of the logistic distribution, of which nothing cancels out there
        expected = math.log(1 / (1 + math.exp(first + 25)) - 1 / (1 + math.exp(first + gap + 25)))
        assert actual == pytest.approx(expected, rel=1e-5)
