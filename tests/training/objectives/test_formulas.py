"""The formulas as they stand in the papers: values and gradients by loops over rows, subsets and draws."""

import itertools
import math

import pytest
import torch
from scipy import stats
from torch.distributions import Normal, kl_divergence

from skmm._blocks.blocks import Blocks
from skmm._torch import isolated_rng
from skmm.inference.nodes import fixed_nodes
from skmm.training.objectives import subsets
from skmm.training.objectives.bounds import ELBO, IWAE, MMVAE
from skmm.training.objectives.coordinated import CRMVAE, JMVAE, MVTCAE, TELBO, VAEVAE
from skmm.training.objectives.mmjsd import MMJSD
from skmm.training.objectives.mmvm import MMVM
from skmm.training.objectives.subsets import MVAE, PowersetELBO, UnimodalELBO

N_DRAWS, BETA, WEIGHTS = 4, 0.3, (2.0, 0.5, 1.5)


class Row:
    """All that the formulas ask about one row, computed one number after the other."""

    def __init__(self, network, inputs, targets, row):
        self.network, self.inputs, self.targets, self.row = network, inputs, targets, row
        self.held = [m for m in range(3) if inputs.present[m, row]]
        self.noise = fixed_nodes(N_DRAWS, 2, torch.device("cpu"), balanced=False).noise[:, 0].double()
        self.prior = Normal(torch.zeros(2).double(), torch.ones(2).double())

    def given(self, held):
        """Posterior given some modalities: the prior times their experts."""
        weighted_mean, precision = torch.zeros(2).double(), torch.ones(2).double()
        for m in held:
            values, seen = self.inputs.values[m][self.row], self.inputs.observed[m][self.row]
            said = self.network.encoders[m](torch.cat([values * seen, (~seen).double()]))
            weighted_mean, precision = weighted_mean + said[:2], precision + said[2:]
        return Normal(weighted_mean / precision, precision**-0.5)

    def points(self, q):
        return [q.loc + q.scale * noise for noise in self.noise]

    def log_likelihood(self, z, m):
        """log p(x_m | z) of what is observed of a modality."""
        decoded = Normal(self.network.decoders[m](z), self.network.likelihoods[m].scale)
        return decoded.log_prob(self.targets.values[m][self.row])[self.targets.observed[m][self.row]].sum()

    def expected(self, q, modalities, weights=WEIGHTS):
        """E_q of the weighted log-likelihood of some modalities."""
        terms = [weights[m] * self.log_likelihood(z, m) for z in self.points(q) for m in modalities]
        return sum(terms, torch.zeros(()).double()) / N_DRAWS

    def kl(self, q, p=None):
        return kl_divergence(q, self.prior if p is None else p).sum()

    def elbo(self, held, modalities=(0, 1, 2)):
        q = self.given(held)
        return self.expected(q, modalities) - BETA * self.kl(q)


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def elbo(row):
    return row.elbo(row.held)


def unimodal(row):
    return mean([row.elbo(row.held), *(row.elbo([m]) for m in row.held)])


def mvae_own(row):
    return mean([row.elbo(row.held, row.held), *(row.elbo([m], [m]) for m in row.held)])


def powerset(row):
    chosen = itertools.chain.from_iterable(
        itertools.combinations(row.held, size) for size in range(1, len(row.held) + 1)
    )
    return mean([row.elbo(held) for held in chosen] or [row.elbo([])])


def jmvae(row):
    q = row.given(row.held)
    return row.elbo(row.held) - 0.7 * sum(row.kl(q, row.given([m])) for m in row.held)


def telbo(row):
    total = row.elbo(row.held)
    for m in row.held:
        q = row.given([m])
        total = total + 0.7 * row.expected(q, [m]) - BETA * row.kl(q)
    return total


def vaevae(row):
    q = row.given(row.held)
    if not row.held:
        return row.expected(q, [0, 1, 2])
    terms = []
    for m in row.held:
        others = [other for other in range(3) if other != m]
        terms.append(row.elbo([m], [m]) + row.expected(q, others) - BETA * row.kl(q, row.given([m])))
    return mean(terms)


def mvtcae(row):
    q, n_held = row.given(row.held), len(row.held)
    if not n_held:
        return row.expected(q, [0, 1, 2])
    conditional = sum(row.kl(q, row.given([m])) for m in row.held)
    return (n_held - 0.7) / n_held * row.expected(q, [0, 1, 2]) - BETA * (
        0.3 * row.kl(q) + 0.7 / n_held * conditional
    )


def crmvae(row):
    q = row.given(row.held)
    total = row.expected(q, [0, 1, 2]) - BETA * row.kl(q)
    for m in row.held:
        total = total + row.expected(row.given([m]), [m]) - BETA * row.kl(q, row.given([m]))
    return total / (len(row.held) + 1)


def mmjsd(row):
    alone = [row.given([m]) for m in row.held] or [row.given([])]
    everyone = [*alone, row.prior]
    precision = mean(q.scale**-2 for q in everyone)
    middle = Normal(mean(q.loc * q.scale**-2 for q in everyone) / precision, precision**-0.5)
    divergence = mean(row.kl(q, middle) for q in everyone)
    return mean(row.expected(q, [0, 1, 2]) for q in alone) - BETA * divergence


FORMULAS = {
    "elbo": (ELBO(), elbo),
    "unimodal_elbo": (UnimodalELBO(), unimodal),
    "mvae": (MVAE(n_random=0), unimodal),
    "mvae, own": (MVAE(n_random=0, targets="own"), mvae_own),
    "powerset": (PowersetELBO(), powerset),
    "jmvae": (JMVAE(alpha=0.7), jmvae),
    "telbo": (TELBO(gamma=0.7), telbo),
    "vaevae": (VAEVAE(), vaevae),
    "mvtcae": (MVTCAE(alpha=0.7), mvtcae),
    "crmvae": (CRMVAE(), crmvae),
    "mmjsd": (MMJSD(), mmjsd),
}


def check(objective, formula, network, inputs, targets):
    """Loss, and its gradients with respect to encoders, decoders and noise."""
    network.requires_grad_()
    objective.set_params(n_draws=N_DRAWS)
    loss = objective(network, inputs, targets, BETA).loss
    expected = -mean(formula(Row(network, inputs, targets, row)) for row in range(inputs.n_rows))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-9)
    parameters = dict(network.named_parameters())
    actual, expected = (
        dict(zip(parameters, torch.autograd.grad(value, parameters.values(), allow_unused=True), strict=True))
        for value in (loss, expected)
    )
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-8)
    assert all(gradient is not None and gradient.any() for gradient in expected.values())


@pytest.mark.parametrize("name", FORMULAS)
def test_formula(name, linear_gaussian, fixed_noise, blocks, hidden):
    """With inputs that lack modalities and cells that are targets, one of them all."""
    network = linear_gaussian(wrong=0.5, weights=WEIGHTS, cls=fixed_noise)
    check(*FORMULAS[name], network, hidden, blocks)


def test_random_subsets_are_one_bound_more_each(linear_gaussian, fixed_noise, blocks, monkeypatch):
    rows = blocks.rows(slice(0, 9))
    drawn = [[0, 1], [1, 2]]

    def fixed(present, n_subsets):
        members = torch.zeros(n_subsets, *present.shape, dtype=torch.bool)
        for subset, modalities in enumerate(drawn):
            members[subset, modalities] = True
        return members

    def formula(row):
        bounds = [row.elbo(row.held), *(row.elbo([m]) for m in row.held)]
        return mean(bounds + [row.elbo([m for m in chosen if m in row.held]) for chosen in drawn])

    monkeypatch.setattr(subsets, "random_subsets", fixed)
    network = linear_gaussian(wrong=0.5, weights=WEIGHTS, cls=fixed_noise)
    check(MVAE(n_random=2), formula, network, rows, rows)


# importance weights


def log_weights(row, points, log_q):
    found = []
    for z in points:
        scored = sum(WEIGHTS[m] * row.log_likelihood(z, m) for m in range(3))
        found.append(scored + BETA * (row.prior.log_prob(z).sum() - log_q(z)))
    return torch.stack(found)


def test_iwae(linear_gaussian, fixed_noise, blocks, hidden):
    def formula(row):
        q = row.given(row.held)
        return log_weights(row, row.points(q), lambda z: q.log_prob(z).sum()).exp().mean().log()

    network = linear_gaussian(wrong=0.5, weights=WEIGHTS, cls=fixed_noise)
    check(IWAE(), formula, network, hidden, blocks)


@pytest.mark.parametrize("bound", ["looser", "tighter", "elbo"])
def test_mmvae(bound, linear_gaussian, fixed_noise, blocks, hidden):
    def formula(row):
        parts = [row.given([m]) for m in row.held] or [row.given([])]

        def log_q(z):
            return torch.stack([q.log_prob(z).sum() for q in parts]).exp().mean().log()

        by_part = torch.stack([log_weights(row, row.points(q), log_q) for q in parts])
        if bound == "looser":
            return by_part.exp().mean(1).log().mean()
        return by_part.exp().mean().log() if bound == "tighter" else by_part.mean()

    network = linear_gaussian(wrong=0.5, weights=WEIGHTS, fusion="moe", cls=fixed_noise)
    check(MMVAE(bound=bound), formula, network, hidden, blocks)


@pytest.mark.parametrize("targets", ["own", "observed"])
def test_mmvm(targets, linear_gaussian, fixed_noise, blocks, hidden):
    def formula(row):
        parts = [row.given([m]) for m in row.held] or [row.given([])]

        def divergence(q):
            terms = []
            for z in row.points(q):
                mixture = torch.stack([part.log_prob(z).sum() for part in parts]).exp().mean()
                terms.append(q.log_prob(z).sum() - mixture.log())
            return mean(terms)

        scored = [
            row.expected(q, row.held[i : i + 1] if targets == "own" and row.held else [0, 1, 2])
            for i, q in enumerate(parts)
        ]
        return mean(scored) - BETA * mean(divergence(q) for q in parts)

    network = linear_gaussian(wrong=0.5, weights=WEIGHTS, fusion="moe", cls=fixed_noise)
    check(MMVM(targets=targets), formula, network, hidden, blocks)


def test_the_bounds_of_a_mixture_in_order(linear_gaussian, exact_log_likelihood, blocks):
    """Each is tighter than the one before; more draws make the importance-weighted ones tighter still."""
    network = linear_gaussian(wrong=0.5, fusion="moe")
    rows = blocks.rows(torch.arange(12).repeat(400))

    def value(bound, n_draws):
        with isolated_rng(0):
            return MMVAE(n_draws, bound=bound)(network, rows, rows, 1.0).bound.item()

    loose, looser, tighter = (value(bound, 5) for bound in ("elbo", "looser", "tighter"))
    exact = exact_log_likelihood(network, blocks).mean()
    assert loose + 0.05 < looser
    assert looser + 0.05 < tighter
    assert tighter + 0.01 < value("tighter", 50) < exact + 0.01
    assert value("looser", 1) == pytest.approx(value("elbo", 1), abs=1e-9)


def test_one_part_is_as_good_as_no_mixture(linear_gaussian, fixed_noise, blocks):
    """In rows of one modality, experts' strata are the draws of the only posterior there is."""
    rows = blocks.rows(slice(10, 12))
    mixture, product = (
        linear_gaussian(wrong=0.5, fusion=fusion, cls=fixed_noise) for fusion in ("moe", "poe")
    )
    expected = IWAE(4)(product, rows, rows, 0.3)
    for bound in ("looser", "tighter"):
        terms = MMVAE(4, bound=bound)(mixture, rows, rows, 0.3)
        for field in ("loss", "reconstruction", "kl", "bound"):
            torch.testing.assert_close(getattr(terms, field), getattr(expected, field))


# what the exact posterior makes of them


def test_vaevae_of_exact_posteriors_is_the_likelihood(linear_gaussian, exact_log_likelihood, blocks):
    """log p(x_m) + log p(the others | x_m), whichever m: and with the expectation, no draw matters less."""
    network = linear_gaussian()
    rows = blocks.rows(torch.arange(12).repeat(2000))
    loss = VAEVAE()(network, rows, rows, 1.0).loss.item()
    assert -loss == pytest.approx(exact_log_likelihood(network, blocks).mean(), abs=0.03)


def test_importance_weights_of_the_exact_posterior_do_not_vary(linear_gaussian, exact_log_likelihood, blocks):
    """A single draw is then enough, whichever it is."""
    network = linear_gaussian()
    for seed in range(3):
        with isolated_rng(seed):
            bound = IWAE(n_draws=1)(network, blocks, blocks, 1.0).bound.item()
        assert bound == pytest.approx(exact_log_likelihood(network, blocks).mean(), abs=1e-9)


@pytest.mark.parametrize("wrong", [0.3, 3.0])
def test_importance_weights_tighten_the_bound(wrong, linear_gaussian, exact_log_likelihood, blocks):
    network = linear_gaussian(wrong=wrong)
    exact = exact_log_likelihood(network, blocks).mean()
    rows = blocks.rows(torch.arange(12).repeat(1000))

    def bound(objective):
        return objective(network, rows, rows, 1.0).bound.item()

    elbo, one, few = bound(ELBO(10)), bound(IWAE(1)), bound(IWAE(10))
    many = IWAE(10000)(network, blocks, blocks, 1.0).bound.item()
    assert one == pytest.approx(elbo, abs=0.1)  # with one draw they are the same
    assert elbo + 0.1 < few < many < exact + 0.01
    assert many > exact - 0.3 * (exact - elbo)


def test_elbo_of_a_wrong_posterior_in_closed_form(linear_gaussian, exact_log_likelihood, blocks):
    """The evidence less the divergence of the posterior used from the exact one."""
    wrong, exact = linear_gaussian(wrong=3.0), linear_gaussian()
    divergence = kl_divergence(
        Normal(wrong.posterior(blocks).mean, wrong.posterior(blocks).stddev),
        Normal(exact.posterior(blocks).mean, exact.posterior(blocks).stddev),
    ).sum(-1)
    expected = (exact_log_likelihood(exact, blocks) - divergence.numpy()).mean()
    bounds = [ELBO(n_draws=1000)(wrong, blocks, blocks, 1.0).bound for _ in range(20)]
    assert torch.stack(bounds).mean().item() == pytest.approx(expected, abs=0.02)


# random subsets


@pytest.mark.parametrize("held", [[0], [1, 3], [0, 2, 3], [0, 1, 2, 3]])
def test_all_subsets_but_the_empty_one_are_equally_likely(held):
    present = torch.zeros(4, 3000, dtype=torch.bool)
    present[held] = True
    drawn = subsets.random_subsets(present, 2)
    assert drawn.shape == (2, 4, 3000)
    codes = (drawn * torch.tensor([1, 2, 4, 8])[:, None]).sum(1).flatten()
    counts = torch.bincount(codes, minlength=16)
    possible = [code for code in range(1, 16) if all(m in held for m in range(4) if code >> m & 1)]
    assert counts[possible].sum() == 6000
    if len(possible) > 1:
        assert stats.chisquare(counts[possible]).pvalue > 1e-3
    # row by row, and draw by draw
    assert len(held) == 1 or not torch.equal(drawn[0], drawn[1])


def test_random_subsets_of_nothing_are_empty():
    assert not subsets.random_subsets(torch.zeros(5, 4, dtype=torch.bool), 3).any()


def test_random_subsets_of_many_modalities():
    """No more than the coins that the subset's definition asks for: each modality in half of them."""
    drawn = subsets.random_subsets(torch.ones(60, 500, dtype=torch.bool), 4)
    share = drawn.double().mean((0, 2))
    assert (share - 0.5).abs().max() < 5 * 0.5 / math.sqrt(2000)


def test_subsets_of_many_modalities_estimate_those_of_all(linear_gaussian, blocks, monkeypatch):
    network = linear_gaussian(wrong=0.5)
    rows = blocks.rows(torch.arange(12).repeat(1000))
    exact = PowersetELBO()(network, rows, rows, 1.0).bound.item()
    monkeypatch.setattr(subsets, "MAX_MODALITIES_FOR_ALL_SUBSETS", 2)
    found = PowersetELBO(n_random=4)(network, rows, rows, 1.0).bound.item()
    assert found == pytest.approx(exact, abs=0.1)


@pytest.mark.parametrize("steps", [None, 4])
def test_copies_hold_the_modalities_of_their_subset_and_nothing_else(blocks, steps):
    joint, observed = blocks.joint, blocks.joint_observed
    if steps:  # sequences, with gaps
        joint, observed = (
            joint[:, None].expand(-1, steps, -1),
            observed[:, None].expand(-1, steps, -1).clone(),
        )
        observed[:4, 1] = False
    inputs = Blocks.from_joint(joint, observed, blocks.sizes)
    present = inputs.row_present
    counts = torch.cat([torch.ones_like(present[:1]), present])
    copies = subsets.Copies.of(inputs, subsets.all_and_each(3, torch.device("cpu")), counts)
    assert len(copies.row) == copies.inputs.n_rows == counts.sum()
    for position, (row, subset) in enumerate(zip(copies.row, copies.subset, strict=True)):
        expected = inputs.joint_observed[row].clone()
        if subset > 0:
            expected &= inputs.columns_of(subset - 1)
        torch.testing.assert_close(copies.inputs.joint_observed[position], expected)
        torch.testing.assert_close(copies.inputs.joint[position], inputs.joint[row])
    share = copies.share(inputs.n_rows)
    for row in range(inputs.n_rows):
        assert share[copies.row == row].sum().item() == pytest.approx(1 / 12)
