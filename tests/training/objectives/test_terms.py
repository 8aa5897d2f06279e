"""What holds for every objective: bounds are bounds, terms are sums and means, parameters are checked."""

import pytest
import torch
from sklearn.base import clone

from skmm._blocks.blocks import Blocks
from skmm.training.objectives.registry import OBJECTIVES

OF_MIXTURES = {"mmvae", "mmvm"}  # refuse posteriors of one part
MIXTURES = ("moe", "mopoe")
RULES = ("poe", *MIXTURES, "joint")  # of one part, of several, and without experts
NO_BOUNDS = {"mmjsd", "mmvm", "mvtcae", "crmvae", "telbo", "vaevae"}
LOOSE = {"unimodal_elbo", "mvae", "powerset", "jmvae"}  # for the exact posterior too
PAIRS = [
    (name, fusion) for name in OBJECTIVES for fusion in RULES if name not in OF_MIXTURES or fusion in MIXTURES
]

every_objective = pytest.mark.parametrize("name", OBJECTIVES)
every_pair = pytest.mark.parametrize(("name", "fusion"), PAIRS)


def make(name, n_draws=None):
    objective = OBJECTIVES[name]()
    return objective if n_draws is None else objective.set_params(n_draws=n_draws)


def fusion_for(name):
    return "moe" if name in OF_MIXTURES else "poe"


def bounds(objective, network, inputs, targets=None, n=40):
    """Mean of many evaluations of the bound, and its standard error."""
    targets = inputs if targets is None else targets
    values = torch.stack([objective(network, inputs, targets, 1.0).bound for _ in range(n)])
    return values.mean().item(), (values.std() / n**0.5).item()


# bounds


@every_objective
def test_whether_it_is_a_bound(name, linear_gaussian, blocks):
    terms = make(name)(linear_gaussian(fusion=fusion_for(name)), blocks, blocks, 1.0)
    assert (terms.bound is None) == (name in NO_BOUNDS)


@pytest.mark.parametrize(("name", "fusion"), [pair for pair in PAIRS if pair[0] not in NO_BOUNDS])
class TestBounds:
    @pytest.mark.parametrize("wrong", [1.0, 0.3, 3.0])
    def test_never_above_the_likelihood(
        self, name, fusion, wrong, linear_gaussian, exact_log_likelihood, blocks
    ):
        network = linear_gaussian(fusion=fusion, wrong=wrong)
        mean, error = bounds(make(name, 3), network, blocks)
        assert mean <= exact_log_likelihood(network, blocks).mean() + 4 * error

    def test_never_above_the_likelihood_where_inputs_are_hidden(
        self, name, fusion, linear_gaussian, exact_log_likelihood, blocks, hidden
    ):
        """Encoders that see less than is scored give a looser bound of what is scored."""
        network = linear_gaussian(fusion=fusion)
        exact = exact_log_likelihood(network, blocks).mean()
        mean, error = bounds(make(name, 5), network, hidden, blocks)
        assert exact - 100 < mean < exact - 0.05 + 4 * error


TIGHT = [(name, fusion) for name, fusion in PAIRS if name not in NO_BOUNDS | LOOSE and fusion not in MIXTURES]


@pytest.mark.parametrize(("name", "fusion"), TIGHT)
def test_tight_for_the_exact_posterior(name, fusion, linear_gaussian, exact_log_likelihood, blocks):
    """Evidence bounds are then equal to the evidence."""
    network = linear_gaussian(fusion=fusion)
    mean, error = bounds(make(name, 100), network, blocks)
    assert mean == pytest.approx(exact_log_likelihood(network, blocks).mean(), abs=4 * error + 1e-6)
    assert error < 0.02


# terms


@every_pair
class TestTerms:
    def test_beta_and_weights_enter_the_loss_but_never_the_bound(
        self, name, fusion, linear_gaussian, fixed_noise, blocks
    ):
        objective = make(name, 4)
        weights = (3.0, 0.5, 1.0)
        plain = linear_gaussian(fusion=fusion, wrong=0.5, cls=fixed_noise)
        weighted = linear_gaussian(fusion=fusion, wrong=0.5, weights=weights, cls=fixed_noise)
        expected = call(objective, plain, blocks, blocks, 1.0)
        losses = {expected.loss.item()}
        for beta in (0.0, 0.25, 1.0):
            terms = call(objective, weighted, blocks, blocks, beta)
            losses.add(terms.loss.item())
            for field in ("bound", "reconstruction", "kl"):
                assert_same(getattr(terms, field), getattr(expected, field))
        assert len(losses) == 4

    def test_loss_is_the_negative_bound_where_nothing_is_weighted(
        self, name, fusion, linear_gaussian, blocks, hidden
    ):
        terms = make(name, 4)(linear_gaussian(fusion=fusion, wrong=0.5), hidden, blocks, 1.0)
        if terms.bound is not None:
            torch.testing.assert_close(terms.loss, -terms.bound)

    def test_sums_over_features_and_means_over_rows(
        self, name, fusion, linear_gaussian, fixed_noise, blocks, hidden
    ):
        """Every term of a batch is the mean of those of its rows: the batch size does not matter."""
        objective = make(name, 4)
        if "n_random" in objective.get_params():
            objective.set_params(n_random=0 if name == "mvae" else 1)
        network = linear_gaussian(fusion=fusion, wrong=0.5, weights=(2.0, 0.5, 1.0), cls=fixed_noise)
        whole = objective(network, hidden, blocks, 0.3)
        index = torch.arange(12).repeat(2)
        twice = objective(network, hidden.rows(index), blocks.rows(index), 0.3)
        single = [
            objective(network, hidden.rows(row), blocks.rows(row), 0.3)
            for row in (slice(i, i + 1) for i in range(12))
        ]
        for field in ("loss", "bound", "reconstruction", "kl"):
            expected = getattr(whole, field)
            assert_same(getattr(twice, field), expected)
            if expected is not None:
                assert_same(torch.stack([getattr(terms, field) for terms in single]).mean(0), expected)

    def test_shapes_and_gradients(self, name, fusion, linear_gaussian, blocks, hidden):
        network = linear_gaussian(fusion=fusion).requires_grad_()
        terms = make(name)(network, hidden, blocks, 1.0)
        assert terms.loss.shape == ()
        assert terms.loss.requires_grad
        assert terms.reconstruction.shape == (3,)
        assert terms.kl.ndim == 1
        # what is only reported must not keep the graph alive
        assert not terms.reconstruction.requires_grad
        assert not terms.kl.requires_grad
        assert terms.bound is None or (terms.bound.shape == () and not terms.bound.requires_grad)
        terms.loss.backward()
        gradients = {key: value.grad for key, value in network.named_parameters() if value.grad is not None}
        assert all(gradient.isfinite().all() for gradient in gradients.values())
        learned = {key.split(".")[0] for key, gradient in gradients.items() if gradient.any()}
        assert {"decoders", "likelihoods", "fusion" if fusion == "joint" else "encoders"} <= learned


def call(objective, *arguments):
    """The same random subsets in every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return objective(*arguments)


def assert_same(actual, expected):
    assert (actual is None) == (expected is None)
    if actual is not None:
        torch.testing.assert_close(actual, expected)


@every_objective
def test_rows_with_nothing_observed_cost_nothing(name, linear_gaussian, blocks):
    empty = blocks.rows(slice(9, 10))
    terms = make(name, 8)(linear_gaussian(fusion=fusion_for(name)), empty, empty, 1.0)
    assert terms.reconstruction.tolist() == [0.0, 0.0, 0.0]
    assert terms.loss.item() == pytest.approx(0.0, abs=1e-9)


@every_objective
def test_targets_are_scored_where_the_encoders_saw_nothing(name, linear_gaussian, blocks):
    """Otherwise decoding one modality from another would never be trained."""
    complete = blocks.rows(slice(0, 3))
    nothing = Blocks.from_joint(complete.joint, torch.zeros_like(complete.joint_observed), blocks.sizes)
    network = linear_gaussian(fusion=fusion_for(name))
    terms = make(name, 8)(network, nothing, complete, 1.0)
    assert (terms.reconstruction < -1).all()
    # the posterior is the prior, so that all there is to the loss is the likelihood of what was hidden
    assert terms.loss.item() > 5


@every_objective
def test_parameters_can_be_searched(name):
    objective = make(name, 7)
    assert clone(objective).get_params() == objective.get_params()


# what is refused


def refuse(objective, network, blocks, *, match):
    with pytest.raises(ValueError, match=match):
        objective(network, blocks, blocks, 1.0)


@every_objective
@pytest.mark.parametrize("n_draws", [0, -1, 1.5, True, "3", None])
def test_numbers_of_draws_that_are_none(name, n_draws, linear_gaussian, blocks):
    objective = OBJECTIVES[name](n_draws=n_draws)
    network = linear_gaussian(fusion=fusion_for(name))
    refuse(objective, network, blocks, match=f"n_draws of the objective must be a positive .*{n_draws}")


@pytest.mark.parametrize(
    ("name", "parameter", "value", "match"),
    [
        ("jmvae", "alpha", -0.1, "alpha of the objective must be a finite number of at least 0, got -0.1"),
        ("jmvae", "alpha", float("nan"), "alpha of the objective must be a finite .* got nan"),
        ("jmvae", "alpha", float("inf"), "alpha of the objective must be a finite .* got inf"),
        ("mvtcae", "alpha", 1.1, "alpha of the objective must be a number from 0 to 1, got 1.1"),
        ("telbo", "gamma", "1", "gamma of the objective must be a finite number of at least 0, got '1'"),
        ("mvae", "n_random", -1, "n_random of the objective must be a whole number of at least 0, got -1"),
        ("powerset", "n_random", 0, "n_random of the objective must be a positive whole number, got 0"),
        ("mvae", "targets", "all", "targets of the objective must be 'observed' or 'own', got 'all'"),
        ("mmvae", "bound", "tight", "bound of the objective must be 'looser' or 'tighter' or 'elbo', got 't"),
        ("elbo", "gradient", "score", "gradient of the objective must be 'plain' or .*got 'score'"),
    ],
)
def test_parameters_that_are_none(name, parameter, value, match, linear_gaussian, blocks):
    objective = OBJECTIVES[name](**{parameter: value})
    refuse(objective, linear_gaussian(fusion=fusion_for(name)), blocks, match=match)


@pytest.mark.parametrize("fusion", [fusion for fusion in RULES if fusion not in MIXTURES])
def test_strata_of_a_posterior_that_has_none(fusion, linear_gaussian, blocks):
    network = linear_gaussian(fusion=fusion)
    refuse(OBJECTIVES["mmvae"](), network, blocks, match=r"objective=MMVAE\(\) .* fusion=.*'moe' or 'mopoe'")


@pytest.mark.parametrize("name", ["elbo", "unimodal_elbo", "mvae", "powerset"])
def test_importance_weights_of_an_objective_that_has_none(name, linear_gaussian, blocks):
    objective = OBJECTIVES[name](gradient="dreg")
    refuse(objective, linear_gaussian(), blocks, match=r"gradient='dreg' .* objective=\w+\(gradient='dreg'\)")


def test_importance_weights_of_a_mean_of_logarithms(linear_gaussian, blocks):
    objective = OBJECTIVES["mmvae"](bound="elbo", gradient="dreg")
    refuse(objective, linear_gaussian(fusion="moe"), blocks, match="gradient='dreg' .* has none")
