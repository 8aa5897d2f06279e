"""Fusion rules: products in closed form, mixtures by brute force, and no influence of what is absent."""

import copy
import pickle
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy import optimize, stats
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

import skmm
from skmm._torch import isolated_rng
from skmm.networks.dense import Dense
from skmm.probability import fusion
from skmm.probability.experts import Experts, Sizes
from skmm.probability.fusion import FUSIONS, build_fusion
from skmm.probability.posteriors import LaplaceFamily, NormalFamily
from skmm.probability.priors import NormalMixturePrior, StandardNormal
from skmm.probability.set_encoder import SetEncoder
from skmm.probability.spheres import VonMisesFisherFamily

N_COMPONENTS, N_INPUTS = 2, 3
FAMILY, PRIOR = NormalFamily(), StandardNormal(N_COMPONENTS).natural()
# every pattern of three modalities, one per row
PATTERNS = torch.tensor([[code >> m & 1 for code in range(8)] for m in range(3)], dtype=torch.bool)

WITHOUT_EXPERTS = [name for name, rule in FUSIONS.items() if not getattr(rule, "uses_experts", True)]
WITH_EXPERTS = [name for name in FUSIONS if name not in WITHOUT_EXPERTS]
LEARNED = [name for name, rule in FUSIONS.items() if isinstance(rule, type)]

every_rule = pytest.mark.parametrize("rule", FUSIONS)
every_rule_with_experts = pytest.mark.parametrize("rule", WITH_EXPERTS)
every_learned_rule = pytest.mark.parametrize("rule", LEARNED)


@pytest.fixture(autouse=True)
def seeded():
    with isolated_rng(0):
        yield


def dense(n_in, n_out):
    return Dense(n_in, n_out, (8,), "silu", 0.0)


def sizes_of(n_modalities):
    features = ((N_INPUTS - 1,),) * n_modalities  # one feature each, shown by all inputs but a flag
    return Sizes((N_INPUTS,) * n_modalities, FAMILY.n_raw(N_COMPONENTS), dense, features)


def start(rule, n_modalities):
    """A rule as training finds it."""
    with isolated_rng(0):
        return build_fusion(rule, sizes_of(n_modalities))


def learned(rule, n_modalities):
    """A rule as training may leave it: nothing is neutral, nothing zero."""
    built = start(rule, n_modalities)
    if isinstance(built, nn.Module):
        with torch.no_grad(), isolated_rng(1):
            for parameter in built.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return built


def random_experts(n_modalities, *leading, prior=PRIOR):
    raw = torch.randn(n_modalities, *leading, FAMILY.n_raw(N_COMPONENTS))
    inputs = tuple(torch.randn(*leading, N_INPUTS) for _ in range(n_modalities))
    return Experts(FAMILY.natural(raw), prior, FAMILY, raw, inputs)


def of_rows(experts, *index):
    """Some of what the axes behind the modalities hold."""
    return replace(
        experts,
        natural=experts.natural[:, *index],
        prior=experts.prior[*index] if experts.prior.ndim > 1 else experts.prior,
        raw=experts.raw[:, *index],
        inputs=tuple(seen[*index] for seen in experts.inputs),
    )


def random_natural(*leading):
    """Natural parameters of normal experts: anything, and positive precisions."""
    loc, precision = torch.randn(*leading, N_COMPONENTS), torch.rand(*leading, N_COMPONENTS) + 0.2
    return torch.cat([loc * precision, precision], dim=-1)


def fuse(rule, natural, present):
    """Posterior of a rule that looks at natural parameters only."""
    return FUSIONS[rule](None, Experts(natural, PRIOR, FAMILY), present)


def normal_of(natural):
    """Mean and standard deviation of natural parameters."""
    weighted_mean, precision = natural.chunk(2, dim=-1)
    return weighted_mean / precision, precision**-0.5


def product_of(experts, present):
    return fusion.product_of_experts(None, experts, present)


def assert_same_posterior(actual, expected):
    z = 2 * torch.randn(10, *expected.mean.shape)
    torch.testing.assert_close(actual.log_prob(z), expected.log_prob(z), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(actual.mean, expected.mean)
    torch.testing.assert_close(actual.stddev, expected.stddev)


@every_rule
class TestEveryRule:
    @pytest.mark.parametrize("n_modalities", [1, 2, 3, 6, 7, 20])
    def test_nothing_present_is_the_prior(self, rule, n_modalities):
        experts = random_experts(n_modalities, 4, prior=random_natural(4))
        posterior = learned(rule, n_modalities)(None, experts, torch.zeros(n_modalities, 4, dtype=torch.bool))
        assert_same_posterior(posterior, FAMILY.posterior(experts.prior[None], None))

    def test_order_of_modalities_is_arbitrary(self, rule):
        """That of what was learned about them goes with it."""
        experts, order, built = random_experts(3, 8), [2, 0, 1], learned(rule, 3)
        posterior = built(None, experts, PATTERNS)
        other = replace(
            experts,
            natural=experts.natural[order],
            raw=experts.raw[order],
            inputs=tuple(experts.inputs[m] for m in order),
        )
        assert_same_posterior(permuted(built, order)(None, other, PATTERNS[order]), posterior)

    def test_time_axis(self, rule):
        """Further axes are treated like rows, with a prior that may differ at each step."""
        experts, present = random_experts(3, 5, 7, prior=random_natural(5, 7)), torch.rand(3, 5, 7) < 0.6
        built = learned(rule, 3)
        posterior = built(None, experts, present)
        z = torch.randn(4, 5, 7, N_COMPONENTS)
        assert posterior.rsample(6).shape == (6, 5, 7, N_COMPONENTS)
        for step in range(7):
            expected = built(None, of_rows(experts, slice(None), step), present[:, :, step])
            torch.testing.assert_close(posterior.mean[:, step], expected.mean)
            torch.testing.assert_close(posterior.stddev[:, step], expected.stddev)
            torch.testing.assert_close(
                posterior.log_prob(z)[:, :, step], expected.log_prob(z[:, :, step]), rtol=1e-5, atol=1e-4
            )

    def test_rows_do_not_depend_on_each_other(self, rule):
        experts, built = random_experts(3, 8), learned(rule, 3)
        together = built(None, experts, PATTERNS)
        for row in range(8):
            only = slice(row, row + 1)
            alone = built(None, of_rows(experts, only), PATTERNS[:, only])
            assert_same_posterior(alone, together.rows(only))


@every_rule_with_experts
class TestEveryRuleWithExperts:
    @pytest.mark.parametrize("n_modalities", [3, 8])
    @pytest.mark.parametrize("garbage", [1e30, torch.inf, -torch.inf, torch.nan])
    def test_absent_experts_have_no_influence(self, rule, n_modalities, garbage):
        """Whatever their numbers: neither on the posterior nor on any gradient."""
        present = PATTERNS if n_modalities == 3 else torch.rand(8, 20) < 0.5
        clean, built = random_experts(*present.shape), learned(rule, n_modalities)
        z = torch.randn(4, present.shape[1], N_COMPONENTS)

        def results(garbage):
            natural, raw = (
                torch.where(present[..., None], numbers, garbage).requires_grad_()
                for numbers in (clean.natural, clean.raw)
            )
            posterior = built(None, replace(clean, natural=natural, raw=raw), present)
            with isolated_rng(1):
                draws = posterior.rsample(5)
            outputs = [posterior.mean, posterior.stddev, posterior.log_prob(z), draws]
            parameters = list(built.parameters()) if isinstance(built, nn.Module) else []
            gradients = torch.autograd.grad(
                sum(output.sum() for output in outputs),
                [natural, raw, *parameters],
                allow_unused=True,
                materialize_grads=True,
            )
            return *(output.detach() for output in outputs), *gradients[2:], gradients[0] + gradients[1]

        actual, expected = results(garbage), results(0.0)
        for ours, theirs in zip(actual, expected, strict=True):
            assert theirs.isfinite().all()
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
        gradient = actual[-1]
        assert (gradient[~present] == 0).all()
        assert (gradient[present].abs().sum(-1) > 0).all()

    @pytest.mark.parametrize("n_modalities", [1, 2, 6, 7, 20])
    def test_one_modality_present_is_its_product_with_the_prior(self, rule, n_modalities):
        """There, all rules are the same, before they have learned anything."""
        experts = random_experts(n_modalities, n_modalities)
        present = torch.eye(n_modalities, dtype=torch.bool)
        assert_same_posterior(start(rule, n_modalities)(None, experts, present), product_of(experts, present))


def permuted(rule, order):
    """A rule that has learned the same of modalities in another order."""
    if not isinstance(rule, nn.Module):
        return rule
    rule = copy.deepcopy(rule)
    with torch.no_grad():
        if isinstance(rule, fusion.GeneralisedProduct):
            rule.log_powers.copy_(rule.log_powers[order])
        elif isinstance(rule, fusion.AttentionOverExperts):
            rule.modality.copy_(rule.modality[order])
        elif isinstance(rule, SetEncoder):
            columns = torch.arange(len(order) * (N_INPUTS - 1)).view(len(order), -1)[order].flatten()
            rule.embedding.copy_(rule.embedding[columns])
            rule.bias.copy_(rule.bias[order])
        else:
            columns = torch.arange(len(order) * N_INPUTS).view(len(order), -1)[order].flatten()
            weight = rule.encoder.first.weight
            weight.copy_(weight[:, columns])
    return rule


# product


def test_product_is_precision_weighted():
    """Prior N(0, 1) and two experts N(1, 0.5²): precision 9 and mean 8 / 9."""
    natural = torch.tensor([4.0, 4.0]).expand(2, 1, 2)
    experts = Experts(natural, StandardNormal(1).natural(), FAMILY)
    posterior = product_of(experts, torch.ones(2, 1, dtype=torch.bool))
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
        posterior = FUSIONS["mopoe"](None, Experts(natural, prior, FAMILY), present)
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


# products of experts raised to powers


@pytest.mark.parametrize("powers", [(1.0, 1.0, 1.0), (0.5, 2.0, 1.3), (0.01, 1.0, 100.0)])
def test_powers_multiply_precisions(powers):
    rule, experts = start("gpoe", 3), random_experts(3, 8)
    with torch.no_grad():
        rule.log_powers.copy_(torch.tensor(powers).log())
        posterior = rule(None, experts, PATTERNS)
    for row in range(8):
        loc, scale = normal_of(torch.cat([PRIOR[None], experts.natural[PATTERNS[:, row], row]]))
        weights = torch.tensor([1.0, *powers])[torch.cat([torch.tensor([True]), PATTERNS[:, row]])]
        precisions = weights[:, None] * scale**-2
        torch.testing.assert_close(posterior.mean[row], (loc * precisions).sum(0) / precisions.sum(0))
        torch.testing.assert_close(posterior.stddev[row], precisions.sum(0) ** -0.5)


@pytest.mark.parametrize("rule", ["gpoe", "attention"])
@pytest.mark.parametrize("n_modalities", [1, 3, 20])
def test_start_is_the_product(rule, n_modalities):
    experts, present = random_experts(n_modalities, 12), torch.rand(n_modalities, 12) < 0.6
    actual = start(rule, n_modalities)(None, experts, present)
    expected = product_of(experts, present)
    torch.testing.assert_close(actual.loc, expected.loc, rtol=0, atol=0)
    torch.testing.assert_close(actual.scale, expected.scale, rtol=0, atol=0)
    assert actual.kl(StandardNormal(N_COMPONENTS)).shape == (12,)  # of one part: in closed form


# attention


class TestAttention:
    def correction(self, present, experts):
        """What the first expert is corrected by, given which modalities are present."""
        seen = []

        class Spy(NormalFamily):
            def natural(self, raw):
                seen.append(raw[0])
                return super().natural(raw)

        with torch.no_grad():
            learned("attention", 3)(None, replace(experts, family=Spy()), torch.tensor(present)[:, None])
        return seen[0] - experts.raw[0]

    def test_an_expert_is_corrected_by_the_others_that_are_present(self):
        experts = random_experts(3, 1)
        patterns = [(True, b, c) for b in (False, True) for c in (False, True)]
        corrections = [self.correction(pattern, experts) for pattern in patterns]
        for first, second in combinations(corrections, 2):
            assert (first - second).abs().max() > 1e-3

    def test_an_expert_is_corrected_by_what_the_others_say(self):
        experts = random_experts(3, 1)
        raw = experts.raw.clone()
        raw[2] += 1.0
        other = replace(experts, raw=raw, natural=FAMILY.natural(raw))
        everything, without = (True, True, True), (True, True, False)
        first, second = self.correction(everything, experts), self.correction(everything, other)
        assert (first - second).abs().max() > 1e-3
        first, second = self.correction(without, experts), self.correction(without, other)
        torch.testing.assert_close(first, second, rtol=0, atol=0)

    def test_same_as_the_formula(self):
        """Row by row, head by head, over the modalities that are present."""
        rule, experts = learned("attention", 3), random_experts(3, 8)
        width = rule.token.out_features
        each = width // rule.n_heads
        with torch.no_grad():
            posterior = rule(None, experts, PATTERNS)
            for row in range(8):
                members = PATTERNS[:, row].nonzero()[:, 0].tolist()
                raw = experts.raw[members, row]
                tokens = rule.token(raw) + rule.modality[members]
                query, key, value = rule.attention(tokens).split(width, dim=-1)
                told = []
                for head in range(rule.n_heads):
                    own = slice(head * each, (head + 1) * each)
                    weights = (query[:, own] @ key[:, own].T / each**0.5).softmax(1)
                    told.append(weights @ value[:, own])
                hidden = nn.functional.silu(rule.hidden(tokens + torch.cat(told, dim=1)))
                natural = FAMILY.natural(raw + rule.correction(hidden)).sum(0) + PRIOR
                loc, scale = normal_of(natural)
                torch.testing.assert_close(posterior.mean[row], loc)
                torch.testing.assert_close(posterior.stddev[row], scale)

    def test_width_and_heads(self):
        rule = fusion.AttentionOverExperts(sizes_of(3), width=12, n_heads=3)
        assert rule.modality.shape == (3, 12)
        assert_same_posterior(
            rule(None, experts := random_experts(3, 8), PATTERNS), product_of(experts, PATTERNS)
        )


# one encoder for all


class TestJointEncoder:
    def test_is_the_prior_times_what_the_encoder_says(self):
        rule, experts = learned("joint", 3), random_experts(3, 8)
        said = FAMILY.natural(rule.encoder(torch.cat(experts.inputs, dim=-1)))
        posterior = rule(None, experts, PATTERNS)
        expected = FAMILY.posterior((said + PRIOR)[None], None)
        torch.testing.assert_close(posterior.mean[1:], expected.mean[1:])
        torch.testing.assert_close(posterior.stddev[1:], expected.stddev[1:])
        assert posterior.mean[0].tolist() == [0.0] * N_COMPONENTS  # of the first pattern nothing is present
        assert posterior.stddev[0].tolist() == [1.0] * N_COMPONENTS

    def test_looks_at_no_experts(self):
        rule, experts = learned("joint", 3), random_experts(3, 8)
        none = Experts(None, PRIOR, FAMILY, inputs=experts.inputs)
        assert_same_posterior(rule(None, none, PATTERNS), rule(None, experts, PATTERNS))

    @pytest.mark.parametrize("likelihood", ["normal", "bernoulli"])
    def test_sees_where_values_are_missing(self, likelihood):
        """A cell that is missing is not one that holds the value put in its place."""
        X = np.random.RandomState(0).randint(2, size=(40, 4)).astype(float)
        model = fitted("joint", X, {"a": [0, 1], "b": [2, 3]}, likelihood=likelihood)
        blocks = model.layout_.read(X[:1])
        joint = torch.zeros_like(blocks.joint)
        loc = []
        for missing in [[], [0], [3], [0, 1]]:
            observed = torch.ones(1, 4, dtype=torch.bool)
            observed[:, missing] = False
            rows = type(blocks).from_joint(joint, observed, blocks.sizes)
            with torch.no_grad():
                loc.append(model.module_.posterior(rows).mean)
        for first, second in combinations(loc, 2):
            assert (first - second).abs().max() > 1e-4

    def test_users_encoders_would_not_be_used(self):
        with isolated_rng(0):
            encoders = {"b": nn.Linear(1, 4)}
        for spec in ("joint", fusion.JointEncoder):
            model = skmm.MultimodalVAE(modalities=MODALITIES, fusion=spec, encoders=encoders)
            with pytest.raises(ValueError, match=r"fusion=.*`encoders` would not be used"):
                model.fit(np.ones((5, 4)))

    def test_makes_no_encoders(self, table):
        assert len(fitted("joint", table).module_.encoders) == 0


# the set of observed features


class TestSetEncoder:
    def blocks_of(self, observed, sizes=(2, 1)):
        values = torch.randn(*observed.shape)
        return (
            values,
            observed,
            tuple(
                torch.cat([torch.where(o, v, 0.0), (~o).float()], dim=-1)
                for v, o in zip(values.split(sizes, -1), observed.split(sizes, -1), strict=True)
            ),
        )

    def rule(self, n_inputs=(4, 2), features=()):
        with isolated_rng(0):
            rule = SetEncoder(Sizes(n_inputs, FAMILY.n_raw(N_COMPONENTS), dense, features), width=5)
            for parameter in rule.parameters():
                parameter.data.add_(0.3 * torch.randn_like(parameter))
        return rule

    def test_same_as_the_formula(self):
        """Row by row, feature by feature, over what is observed."""
        rule = self.rule()
        values, observed, inputs = self.blocks_of(torch.rand(8, 3) < 0.6)
        present = torch.stack([observed[:, :2].any(1), observed[:, 2:].any(1)])
        with torch.no_grad():
            posterior = rule(None, Experts(None, PRIOR, FAMILY, inputs=inputs), present)
            for row in range(8):
                told = torch.zeros(5)
                for feature in observed[row].nonzero()[:, 0].tolist():
                    told = told + rule.inner(
                        values[row, feature] * rule.embedding[feature] + rule.bias[feature]
                    )
                natural = FAMILY.natural(rule.outer(told / 3**0.5)) if observed[row].any() else 0.0
                loc, scale = normal_of(natural + PRIOR)
                torch.testing.assert_close(posterior.mean[row], loc)
                torch.testing.assert_close(posterior.stddev[row], scale)

    def test_features_of_several_numbers(self):
        """A category, as three numbers of which one is 1, has one embedding per category."""
        rule = self.rule((4, 2), ((3,), (1,)))
        assert rule.embedding.shape == (4, 5)
        assert rule.bias.shape == (2, 5)
        inputs = (torch.tensor([[0.0, 0.0, 1.0, 0.0]]), torch.tensor([[0.0, 1.0]]))  # the second is missing
        with torch.no_grad():
            posterior = rule(
                None, Experts(None, PRIOR, FAMILY, inputs=inputs), torch.tensor([[True], [False]])
            )
            told = rule.inner(rule.embedding[2] + rule.bias[0]) / 2**0.5
            expected = FAMILY.posterior((FAMILY.natural(rule.outer(told)) + PRIOR)[None, None], None)
        torch.testing.assert_close(posterior.mean, expected.mean)

    def test_a_missing_feature_has_no_influence_forward_or_backward(self):
        rule = self.rule()
        _, _, inputs = self.blocks_of(torch.tensor([[True, False, True]]))
        present = torch.ones(2, 1, dtype=torch.bool)
        posterior = rule(None, Experts(None, PRIOR, FAMILY, inputs=inputs), present)
        gradients = torch.autograd.grad(posterior.mean.square().sum(), [rule.embedding, rule.bias])
        for gradient in gradients:
            assert (gradient[1] == 0).all()
            assert (gradient[[0, 2]] != 0).any(-1).all()
        other = (inputs[0] + torch.tensor([0.0, 7.0, 0.0, 0.0]), inputs[1])
        moved = rule(None, Experts(None, PRIOR, FAMILY, inputs=other), present)
        torch.testing.assert_close(moved.mean, posterior.mean, rtol=0, atol=0)

    def test_takes_hardly_more_parameters_for_more_modalities(self):
        """Two embeddings per feature, and nothing else."""
        few, many = (
            sum(p.numel() for p in SetEncoder(Sizes((2,) * n, 4, dense)).parameters()) for n in (4, 64)
        )
        assert many - few == 60 * 2 * 64

    def test_inputs_that_do_not_fit(self):
        with pytest.raises(ValueError, match="needs to know which inputs show which feature"):
            SetEncoder(Sizes((3, 2), 4, dense))

    def test_categories_of_a_table(self, table):
        X = table.copy()
        X[:, 3] = np.arange(60) % 5
        model = fitted("set", X, likelihood={"c": "categorical"})
        assert model.module_.fusion.features == ((1, 1), (1,), (5,))
        assert np.isfinite(model.transform(X)).all()


# means and deviations pooled


def every_row_pooled(rule, natural):
    """Posterior of the rule, and mean and deviation of each modality's own posterior."""
    posterior = fuse(rule, natural, PATTERNS)
    assert posterior.log_weights is None
    return posterior, *normal_of(natural + PRIOR)


def test_wasserstein_averages_means_and_deviations():
    posterior, loc, scale = every_row_pooled("wasserstein", random_natural(3, 8))
    for row in range(1, 8):
        members = PATTERNS[:, row]
        torch.testing.assert_close(posterior.mean[row], loc[members, row].mean(0))
        torch.testing.assert_close(posterior.stddev[row], scale[members, row].mean(0))


def test_wasserstein_is_nearest_to_all():
    """No other density has a smaller sum of squared distances, which are those of SciPy's quantiles."""
    loc, scale = torch.tensor([-1.0, 0.5, 2.0]), torch.tensor([0.3, 0.9, 0.6])
    levels = (np.arange(20_000) + 0.5) / 20_000

    def total(mean, stddev):
        ours = stats.norm.ppf(levels, mean, stddev)
        return sum(
            np.mean((ours - stats.norm.ppf(levels, *pair)) ** 2) for pair in zip(loc, scale, strict=True)
        )

    natural = FAMILY.natural_of(loc, scale).view(2, 3).T[:, None] - StandardNormal(1).natural()
    experts = Experts(natural, StandardNormal(1).natural(), FAMILY)
    posterior = FUSIONS["wasserstein"](None, experts, torch.ones(3, 1, dtype=torch.bool))
    found = optimize.minimize(lambda x: total(x[0], abs(x[1])), [0.0, 1.0], method="Nelder-Mead").x
    assert posterior.mean.item() == pytest.approx(found[0], abs=1e-3)
    assert posterior.stddev.item() == pytest.approx(abs(found[1]), abs=1e-3)


def test_hellinger_has_the_moments_of_the_pool():
    """The square of the sum of the roots of the densities, on a grid in two dimensions."""
    posterior, loc, scale = every_row_pooled("hellinger", 3 * random_natural(3, 8))
    axis = torch.linspace(-9, 9, 601)
    z = torch.cartesian_prod(axis, axis)[:, None]
    roots = (0.5 * torch.distributions.Normal(loc, scale).log_prob(z[:, None]).sum(-1)).exp()  # (N, 3, 8)
    for row in range(1, 8):
        density = roots[:, PATTERNS[:, row], row].sum(1).square()
        weights = (density / density.sum())[:, None]
        mean = (weights * z[:, 0]).sum(0)
        torch.testing.assert_close(posterior.mean[row], mean, rtol=1e-3, atol=1e-4)
        stddev = (weights * (z[:, 0] - mean).square()).sum(0).sqrt()
        torch.testing.assert_close(posterior.stddev[row], stddev, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("rule", ["wasserstein", "hellinger"])
class TestPooling:
    def test_modalities_that_agree_are_left_as_they_are(self, rule):
        natural = random_natural(1, 8).expand(3, -1, -1)
        alone = FAMILY.posterior((natural[:1] + PRIOR), None)
        pooled = fuse(rule, natural, PATTERNS).rows(slice(1, None))
        assert_same_posterior(pooled, alone.rows(slice(1, None)))

    def test_without_a_prior_expert_the_standard_normal_stands_in(self, rule):
        """What is said is then still to be multiplied by the prior; of nothing, nothing is said."""
        natural, said = random_natural(3, 8), []

        class Unfinished(NormalFamily):
            def posterior(self, natural, log_weights):
                said.append(natural)

        FUSIONS[rule](None, Experts(natural, torch.zeros(()), Unfinished()), PATTERNS)
        assert (said[0][0, 0] == 0).all()
        torch.testing.assert_close(said[0][0, [1, 2, 4]], natural[[0, 1, 2], [1, 2, 4]], rtol=1e-4, atol=1e-5)
        assert (said[0][0, :, N_COMPONENTS:] >= 0).all()
        pooled, narrow = fuse(rule, natural, PATTERNS), FAMILY.posterior(said[0] + PRIOR, None)
        torch.testing.assert_close(narrow.mean, pooled.mean)
        torch.testing.assert_close(narrow.stddev, pooled.stddev.clamp_max(1.0))

    def test_a_pool_wider_than_the_prior(self, rule):
        """Modalities that contradict each other: what is left to be multiplied stays a density."""
        natural = FAMILY.natural_of(torch.tensor([[[9.0]], [[-9.0]]]), torch.full((2, 1, 1), 0.5))
        experts = Experts(natural, torch.zeros(()), FAMILY)
        prior = NormalMixturePrior(1, n_parts=2)
        with torch.no_grad():
            prior.log_scale.fill_(3.0)
            posterior = FUSIONS[rule](
                None, replace(experts, family=prior.multiplied(FAMILY)), torch.ones(2, 1, dtype=torch.bool)
            )
        assert posterior.mean.isfinite().all()
        assert (posterior.stddev > 0).all()

    def test_laplace_experts_are_pooled_by_their_moments(self, rule):
        natural = random_natural(3, 8)
        laplace = FUSIONS[rule](None, Experts(natural, PRIOR, LaplaceFamily()), PATTERNS)
        normal = fuse(rule, natural, PATTERNS)
        torch.testing.assert_close(laplace.mean, normal.mean)
        torch.testing.assert_close(laplace.stddev, normal.stddev)

    def test_directions_have_no_deviations(self, rule):
        experts = Experts(torch.randn(3, 8, 4), torch.zeros(4), VonMisesFisherFamily())
        with pytest.raises(ValueError, match=f"fusion={rule!r} pools .* experts of posterior='vmf' do not"):
            FUSIONS[rule](None, experts, PATTERNS)
        model = skmm.MultimodalVAE(4, modalities=MODALITIES, fusion=rule, posterior="vmf", prior="sphere")
        with pytest.raises(ValueError, match=f"fusion={rule!r} pools .* experts of posterior='vmf' do not"):
            model.fit(np.random.RandomState(0).normal(size=(10, 4)))


# a prior that is no expert


@every_rule
def test_a_mixture_prior_multiplies_what_the_rule_returns(rule):
    """With nothing observed it is the posterior; elsewhere, the posterior has its parts."""
    prior = NormalMixturePrior(N_COMPONENTS, n_parts=3)
    experts = random_experts(3, 8, prior=prior.natural())
    experts = replace(experts, family=prior.multiplied(FAMILY))
    with torch.no_grad():
        posterior = learned(rule, 3)(None, experts, PATTERNS)
        z = prior.rsample(30)
        torch.testing.assert_close(
            posterior.rows(slice(0, 1)).log_prob(z[:, None])[:, 0], prior.log_prob(z), rtol=1e-4, atol=1e-4
        )
    weights = posterior.log_weights.exp()
    assert len(weights) % 3 == 0
    torch.testing.assert_close(weights.sum(0), torch.ones(8))


# made and trained


def fitted(rule, X, modalities=None, **parameters):
    modalities = modalities or MODALITIES
    settings = {"max_iter": 3, "hidden_layer_sizes": (8,), "n_draws": 16, "random_state": 0}
    return skmm.MultimodalVAE(
        N_COMPONENTS, modalities=modalities, fusion=rule, **(settings | parameters)
    ).fit(X)


class TestBuilding:
    @every_rule
    def test_by_name(self, rule):
        built, entry = build_fusion(rule, sizes_of(3)), FUSIONS[rule]
        assert type(built) is entry if isinstance(entry, type) else built is entry

    def test_function(self):
        assert build_fusion(most_certain_expert, sizes_of(3)) is most_certain_expert

    def test_module_is_copied(self):
        rule = fusion.GeneralisedProduct(sizes_of(3))
        built = build_fusion(rule, sizes_of(3))
        assert built is not rule
        with torch.no_grad():
            built.log_powers.add_(1.0)
        assert rule.log_powers.tolist() == [0.0, 0.0, 0.0]

    def test_class_is_given_the_sizes(self):
        sizes = Sizes((2, 5), 4, dense)
        assert sizes.n_modalities == 2
        assert build_fusion(fusion.GeneralisedProduct, sizes).log_powers.shape == (2,)
        assert build_fusion(fusion.JointEncoder, sizes).encoder.n_in == 7
        attention = build_fusion(fusion.AttentionOverExperts, sizes)
        assert attention.token.in_features == attention.correction.out_features == 4
        assert build_fusion(KeepsSizes, sizes).sizes is sizes

    def test_sizes_are_those_of_the_table(self, table):
        """Columns of categories are seen as one number per category."""
        X = table.copy()
        X[:, 3] = np.arange(60) % 5
        model = fitted(KeepsSizes, X, likelihood={"c": "categorical"})
        sizes, experts = model.module_.fusion.sizes, model.module_.experts(model.layout_.read(X))
        assert sizes.n_inputs == (4, 2, 6)
        assert sizes.n_inputs == tuple(seen.shape[-1] for seen in experts.inputs)
        assert sizes.n_raw == experts.raw.shape[-1] == 2 * N_COMPONENTS
        with isolated_rng(0):
            network = sizes.dense(3, 2)
        assert network.last.shape[1] == 8  # as hidden_layer_sizes say

    @pytest.mark.parametrize("spec", ["poes", 3, None])
    def test_no_rule(self, spec):
        with pytest.raises(ValueError, match="The 'fusion' parameter of MultimodalVAE must be"):
            skmm.MultimodalVAE(fusion=spec).fit(np.ones((5, 2)))


@every_learned_rule
class TestLearning:
    def test_every_parameter_has_a_gradient(self, rule):
        built, experts = learned(rule, 3), random_experts(3, 8)
        posterior = built(None, experts, PATTERNS)
        (posterior.mean.square().sum() + posterior.stddev.sum()).backward()
        for name, parameter in built.named_parameters():
            assert parameter.grad.isfinite().all()
            assert parameter.grad.abs().max() > 0, name

    def test_every_parameter_is_trained(self, rule, table):
        """The estimator does with the copy that it makes as with the user's own module."""
        model = fitted(rule, table, learning_rate_init=0.01)
        learned, first = model.module_.fusion, start_of(model, table)
        assert type(learned) is FUSIONS[rule]
        for (name, after), before in zip(learned.named_parameters(), first.parameters(), strict=True):
            assert (after != before).any(), name
        assert {id(p) for p in learned.parameters()} <= {id(p) for p in model.module_.parameters()}

    def test_pickle(self, rule, table):
        built, experts = learned(rule, 3), random_experts(3, 8)
        assert_same_posterior(
            pickle.loads(pickle.dumps(built))(None, experts, PATTERNS), built(None, experts, PATTERNS)
        )

    def test_estimators_can_be_pickled_copied_and_cloned(self, rule, table):
        model = fitted(rule, table)
        Z = model.transform(table)
        for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), clone(model).fit(table)):
            np.testing.assert_array_equal(other.transform(table), Z)

    def test_warm_start_goes_on_with_what_was_learned(self, rule, table):
        model = fitted(rule, table, warm_start=True, learning_rate_init=1e-30, early_stopping=False)
        before = model.module_.fusion.state_dict()
        with torch.no_grad():
            for value in before.values():
                value.add_(0.5)
        for name, after in model.fit(table).module_.fusion.state_dict().items():
            torch.testing.assert_close(after, before[name], rtol=0, atol=0)


def start_of(model, X):
    """The fusion rule of a model before its first step."""
    still = clone(model).set_params(learning_rate_init=1e-30, max_iter=1).fit(X)
    return still.module_.fusion


def test_rules_can_be_searched(table):
    model = skmm.MultimodalVAE(
        N_COMPONENTS, modalities=MODALITIES, hidden_layer_sizes=(8,), max_iter=4, n_draws=16, random_state=0
    )
    rules = [*FUSIONS, KeepsSizes]
    search = GridSearchCV(model, {"fusion": rules}, cv=2, error_score="raise").fit(table)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert len(set(scores[:-1])) == len(FUSIONS)  # the rule arrived
    assert scores[-1] == scores[0]  # a product under another name


# rules of one's own


def most_certain_expert(blocks, experts, present):
    """Nothing but the expert of the highest precision, times the prior."""
    precision = torch.where(present, experts.natural[..., N_COMPONENTS:].sum(-1), -torch.inf)
    best = precision.argmax(0)[None, :, None].expand(1, -1, experts.natural.shape[-1])
    best = torch.where(present.any(0)[:, None], experts.natural.gather(0, best), 0.0)
    return experts.family.posterior(best + experts.prior, None)


class KeepsSizes(nn.Module):
    """A product of experts that knows what it could be made from."""

    def __init__(self, sizes):
        super().__init__()
        self.sizes = sizes

    def forward(self, blocks, experts, present):
        return fusion.product_of_experts(blocks, experts, present)


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
            type("Blocks", (), {"present": PATTERNS}), Experts(natural, PRIOR, FAMILY), PATTERNS
        )
    assert_same_posterior(weighted, fuse("poe", natural, PATTERNS))


class Gate(nn.Module):
    """Each expert's precision is scaled by a number between 0 and 1, from what the modality shows."""

    def __init__(self, sizes):
        super().__init__()
        self.gates = nn.ModuleList(sizes.dense(n_inputs, 1) for n_inputs in sizes.n_inputs)

    def forward(self, blocks, experts, present):
        opened = torch.stack(
            [gate(seen).sigmoid() for gate, seen in zip(self.gates, experts.inputs, strict=True)]
        )
        natural = torch.where(present[..., None], opened * experts.natural, 0.0)
        return experts.family.posterior(natural.sum(0, keepdim=True) + experts.prior, None)


def test_a_class_as_rule(table):
    model = fitted(Gate, table)
    assert model.fusion is Gate
    gates = model.module_.fusion.gates
    assert [gate.n_in for gate in gates] == [4, 2, 2]
    first = start_of(model, table).gates
    for after, before in zip(gates.parameters(), first.parameters(), strict=True):
        assert (after != before).any()
    assert np.isfinite(model.transform(table)).all()
    np.testing.assert_array_equal(model.transform(np.full((1, 4), np.nan)), 0.0)
    np.testing.assert_array_equal(clone(model).fit(table).transform(table), model.transform(table))
