"""Fusion rules: products in closed form, mixtures by brute force, and no influence of what is absent."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn

import skmm
from skmm._torch import isolated_rng
from skmm.probability import fusion
from skmm.probability.fusion import FUSIONS, Experts
from skmm.probability.posteriors import NormalFamily
from skmm.probability.priors import StandardNormal

N_COMPONENTS = 2
PRIOR = StandardNormal(N_COMPONENTS).natural()
# every pattern of three modalities, one per row
PATTERNS = torch.tensor([[code >> m & 1 for code in range(8)] for m in range(3)], dtype=torch.bool)

every_rule = pytest.mark.parametrize("rule", FUSIONS)


@pytest.fixture(autouse=True)
def seeded():
    with isolated_rng(0):
        yield


def random_natural(*leading):
    """Natural parameters of normal experts: anything, and positive precisions."""
    loc, precision = torch.randn(*leading, N_COMPONENTS), torch.rand(*leading, N_COMPONENTS) + 0.2
    return torch.cat([loc * precision, precision], dim=-1)


def fuse(rule, natural, present, prior=PRIOR):
    rule = FUSIONS[rule] if isinstance(rule, str) else rule
    return rule(None, Experts(natural, prior, NormalFamily()), present)


def normal_of(natural):
    """Mean and standard deviation of natural parameters."""
    weighted_mean, precision = natural.chunk(2, dim=-1)
    return weighted_mean / precision, precision**-0.5


def assert_same_posterior(actual, expected):
    z = 2 * torch.randn(10, *expected.mean.shape)
    torch.testing.assert_close(actual.log_prob(z), expected.log_prob(z))
    torch.testing.assert_close(actual.mean, expected.mean)
    torch.testing.assert_close(actual.stddev, expected.stddev)


@every_rule
class TestEveryRule:
    @pytest.mark.parametrize("n_modalities", [3, 8])
    @pytest.mark.parametrize("garbage", [1e30, torch.inf, -torch.inf, torch.nan])
    def test_absent_experts_have_no_influence(self, rule, n_modalities, garbage):
        """Whatever their numbers: neither on the posterior nor on any gradient."""
        present = PATTERNS if n_modalities == 3 else torch.rand(8, 20) < 0.5
        clean = random_natural(*present.shape)
        spoiled = torch.where(present[..., None], clean, garbage)
        z = torch.randn(4, present.shape[1], N_COMPONENTS)

        def results(natural):
            leaf = natural.clone().requires_grad_()
            posterior = fuse(rule, leaf, present)
            with isolated_rng(1):
                draws = posterior.rsample(5)
            outputs = [posterior.mean, posterior.stddev, posterior.log_prob(z), draws]
            (gradient,) = torch.autograd.grad(sum(output.sum() for output in outputs), leaf)
            return [*(output.detach() for output in outputs), gradient]

        for actual, expected in zip(results(spoiled), results(clean), strict=True):
            assert expected.isfinite().all()
            torch.testing.assert_close(actual, expected, rtol=0, atol=0)
        gradient = results(spoiled)[-1]
        assert (gradient[~present] == 0).all()
        assert (gradient[present].abs().sum(-1) > 0).all()

    @pytest.mark.parametrize("n_modalities", [1, 2, 3, 6, 7, 20])
    def test_nothing_present_is_the_prior(self, rule, n_modalities):
        prior = random_natural(4)
        natural = random_natural(n_modalities, 4)
        posterior = fuse(rule, natural, torch.zeros(n_modalities, 4, dtype=torch.bool), prior)
        assert_same_posterior(posterior, NormalFamily().posterior(prior[None], None))

    @pytest.mark.parametrize("n_modalities", [1, 2, 6, 7, 20])
    def test_one_modality_present_is_its_product_with_the_prior(self, rule, n_modalities):
        """There, all rules are the same."""
        natural = random_natural(n_modalities, n_modalities)
        present = torch.eye(n_modalities, dtype=torch.bool)
        own = natural[torch.arange(n_modalities), torch.arange(n_modalities)]
        expected = NormalFamily().posterior((own + PRIOR)[None], None)
        assert_same_posterior(fuse(rule, natural, present), expected)

    def test_order_of_modalities_is_arbitrary(self, rule):
        natural, order = random_natural(3, 8), torch.tensor([2, 0, 1])
        assert_same_posterior(fuse(rule, natural[order], PATTERNS[order]), fuse(rule, natural, PATTERNS))

    def test_time_axis(self, rule):
        """Further axes are treated like rows, with a prior that may differ at each step."""
        natural, present = random_natural(3, 5, 7), torch.rand(3, 5, 7) < 0.6
        prior = random_natural(5, 7)
        posterior = fuse(rule, natural, present, prior)
        z = torch.randn(4, 5, 7, N_COMPONENTS)
        assert posterior.rsample(6).shape == (6, 5, 7, N_COMPONENTS)
        for step in range(7):
            expected = fuse(rule, natural[:, :, step], present[:, :, step], prior[:, step])
            torch.testing.assert_close(posterior.mean[:, step], expected.mean)
            torch.testing.assert_close(posterior.stddev[:, step], expected.stddev)
            torch.testing.assert_close(posterior.log_prob(z)[:, :, step], expected.log_prob(z[:, :, step]))

    def test_rows_do_not_depend_on_each_other(self, rule):
        natural = random_natural(3, 8)
        together = fuse(rule, natural, PATTERNS)
        for row in range(8):
            alone = fuse(rule, natural[:, row : row + 1], PATTERNS[:, row : row + 1])
            assert_same_posterior(alone, together.rows(slice(row, row + 1)))


# product


def test_product_is_precision_weighted():
    """Prior N(0, 1) and two experts N(1, 0.5²): precision 9 and mean 8 / 9."""
    natural = torch.tensor([4.0, 4.0]).expand(2, 1, 2)
    experts = Experts(natural, StandardNormal(1).natural(), NormalFamily())
    posterior = fusion.product_of_experts(None, experts, torch.ones(2, 1, dtype=torch.bool))
    assert posterior.mean.item() == pytest.approx(8 / 9)
    assert posterior.stddev.item() == pytest.approx(1 / 3)


def test_product_in_closed_form():
    natural = random_natural(3, 8)
    posterior = fuse("poe", natural, PATTERNS)
    for row in range(8):
        experts = natural[PATTERNS[:, row], row]
        loc, scale = normal_of(torch.cat([experts, PRIOR[None]]))
        precision = (scale**-2).sum(0)
        torch.testing.assert_close(posterior.mean[row], (loc * scale**-2).sum(0) / precision)
        torch.testing.assert_close(posterior.stddev[row], precision**-0.5)


def test_product_of_one_part_has_a_closed_divergence():
    assert fuse("poe", random_natural(3, 8), PATTERNS).kl(StandardNormal(N_COMPONENTS)).shape == (8,)


# mixtures


def parts_of(posterior, row):
    """Parts with a weight, as a sorted array of (weight, loc, scale)."""
    weights = posterior.log_weights[:, row].exp()
    parts = torch.cat([weights[:, None], posterior.loc[:, row], posterior.scale[:, row]], dim=1)
    return sort_rows(parts[weights > 0].numpy())


def sort_rows(table):
    return table[np.lexsort(table.T)]


def expected_parts(natural, subsets):
    products = torch.stack([natural[list(subset)].sum(0) + PRIOR for subset in subsets])
    weights = torch.full((len(subsets), 1), 1 / len(subsets))
    return sort_rows(torch.cat([weights, *normal_of(products)], dim=1).numpy())


def nonempty_subsets(members):
    return [subset for size in range(1, len(members) + 1) for subset in combinations(members, size)]


def test_mixture_of_experts_has_one_part_per_modality():
    natural = random_natural(3, 8)
    posterior = fuse("moe", natural, PATTERNS)
    for row in range(1, 8):
        members = PATTERNS[:, row].nonzero()[:, 0].tolist()
        expected = expected_parts(natural[:, row], [(member,) for member in members])
        np.testing.assert_allclose(parts_of(posterior, row), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_modalities", [1, 2, 3, 5, 6])
def test_mixture_of_products_has_one_part_per_subset(n_modalities):
    present = torch.rand(n_modalities, 12) < 0.6
    natural = random_natural(n_modalities, 12)
    posterior = fuse("mopoe", natural, present)
    for row in present.any(0).nonzero()[:, 0].tolist():
        members = present[:, row].nonzero()[:, 0].tolist()
        expected = expected_parts(natural[:, row], nonempty_subsets(members))
        np.testing.assert_allclose(parts_of(posterior, row), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_modalities", [7, 8, 20, 70])
class TestManyModalities:
    """Beyond six modalities a mixture of products draws on some subsets only."""

    def test_parts_are_products_of_subsets_of_what_is_present(self, n_modalities):
        # precision m of component 1 is a power of two: the sum tells the subset
        natural = torch.zeros(n_modalities, 3, 2, dtype=torch.float64)
        natural[:, :, 1] = 2.0 ** torch.arange(n_modalities, dtype=torch.float64)[:, None]
        present = torch.rand(n_modalities, 3) < 0.5
        present[:, 0] = True
        present[:2, 1] = True
        prior = torch.tensor([0.0, 0.5], dtype=torch.float64)
        posterior = FUSIONS["mopoe"](None, Experts(natural, prior, NormalFamily()), present)
        for row in range(3):
            weights = posterior.log_weights[:, row].exp()
            torch.testing.assert_close(weights.sum(), torch.ones((), dtype=torch.float64))
            assert weights[weights > 0].unique().numel() == 1
            members = present[:, row].nonzero()[:, 0].tolist()
            precisions = (posterior.scale[weights > 0, row, 0] ** -2).tolist()
            if n_modalities <= 20:  # exactly representable
                codes = {round(precision - 0.5) for precision in precisions}
                everything = sum(2**member for member in members)
                assert {2**member for member in members} | {everything} <= codes
                assert all(code & ~everything == 0 for code in codes)
            else:
                assert max(precisions) == pytest.approx(sum(2.0**member for member in members))

    def test_is_deterministic(self, n_modalities):
        natural, present = random_natural(n_modalities, 5), torch.rand(n_modalities, 5) < 0.5
        first = fuse("mopoe", natural, present)
        fusion._subsets.cache_clear()
        with isolated_rng(99):
            second = fuse("mopoe", natural, present)
        torch.testing.assert_close(first.loc, second.loc, rtol=0, atol=0)
        torch.testing.assert_close(first.log_weights, second.log_weights, rtol=0, atol=0)

    def test_no_subset_is_drawn_empty(self, n_modalities):
        assert fusion._subsets(n_modalities).any(axis=1).all()


@every_rule
@pytest.mark.parametrize("n_modalities", [8, 20, 70])
def test_many_modalities_can_be_fitted(rule, n_modalities):
    rng = np.random.RandomState(0)
    X = rng.normal(size=(40, 1)) + 0.1 * rng.normal(size=(40, n_modalities))
    X[rng.uniform(size=X.shape) < 0.3] = np.nan
    modalities = {f"m{j}": [j] for j in range(n_modalities)}
    model = skmm.MultimodalVAE(2, modalities=modalities, fusion=rule, max_iter=2, random_state=0).fit(X)
    assert np.isfinite(model.transform(X)).all()
    np.testing.assert_array_equal(model.transform(np.full((1, n_modalities), np.nan)), 0.0)


# rules of one's own


def most_certain_expert(blocks, experts, present):
    """Nothing but the expert of the highest precision, times the prior."""
    precision = torch.where(present, experts.natural[..., N_COMPONENTS:].sum(-1), -torch.inf)
    best = precision.argmax(0)[None, :, None].expand(1, -1, experts.natural.shape[-1])
    best = torch.where(present.any(0)[:, None], experts.natural.gather(0, best), 0.0)
    return experts.family.posterior(best + experts.prior, None)


class WeightedProduct(nn.Module):
    """A product of experts raised to learned powers; counts its calls."""

    def __init__(self, n_modalities):
        super().__init__()
        self.log_power = nn.Parameter(torch.zeros(n_modalities))

    def forward(self, blocks, experts, present):
        assert blocks.present.shape == present.shape
        natural = torch.where(present[..., None], experts.natural, 0.0)
        natural = torch.tensordot(self.log_power.exp(), natural, dims=1)
        return experts.family.posterior((natural + experts.prior)[None], None)


@pytest.fixture
def table():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(60, 1)) + 0.3 * rng.normal(size=(60, 4))
    X[:20, :2] = np.nan
    return X


MODALITIES = {"a": [0, 1], "b": [2], "c": [3]}


def test_a_function_as_rule(table):
    model = skmm.MultimodalVAE(
        N_COMPONENTS, modalities=MODALITIES, fusion=most_certain_expert, max_iter=2, random_state=0
    ).fit(table)
    blocks = model.layout_.read(table)
    experts = model.module_.experts(blocks)
    expected = most_certain_expert(blocks, experts, blocks.present).mean.detach()
    np.testing.assert_allclose(model.transform(table), expected, rtol=1e-5, atol=1e-6)


def test_a_module_as_rule_is_trained(table):
    rule = WeightedProduct(3)
    model = skmm.MultimodalVAE(
        N_COMPONENTS, modalities=MODALITIES, fusion=rule, max_iter=5, random_state=0
    ).fit(table)
    learned = model.module_.fusion.log_power
    assert (learned != 0).all()
    assert any(parameter is learned for parameter in model.module_.parameters())
    assert (rule.log_power == 0).all()  # the user's own object is copied
    assert model.fusion is rule


def test_a_module_of_neutral_powers_is_the_product():
    natural = random_natural(3, 8)
    with torch.no_grad():
        weighted = WeightedProduct(3)(
            type("Blocks", (), {"present": PATTERNS}), Experts(natural, PRIOR, NormalFamily()), PATTERNS
        )
    assert_same_posterior(weighted, fuse("poe", natural, PATTERNS))
