"""The bound with its backward pass written out is the bound, for every kind of part."""

from functools import partial

import pytest
import torch
from torch import nn

import skmm
from skmm._blocks.blocks import Blocks
from skmm._torch import isolated_rng
from skmm.networks.dense import ACTIVATIONS, Dense, Trunk
from skmm.networks.vae import VAENetwork
from skmm.probability.experts import Sizes
from skmm.probability.fusion import FUSIONS, build_fusion
from skmm.probability.likelihoods.continuous import Normal
from skmm.probability.likelihoods.registry import LIKELIHOODS
from skmm.probability.posteriors import POSTERIORS, NormalFamily
from skmm.probability.priors import PRIORS
from skmm.training import written_out
from skmm.training.objectives.bounds import ELBO, IWAE
from skmm.training.written_out import value_and_pullback

N_COMPONENTS, SIZES = 2, (3, 2, 4)
BETA = 0.7


def make_network(
    *,
    layers=(5,),
    activation="silu",
    dropout=0.0,
    fusion="poe",
    family="normal",
    prior="normal",
    likelihoods=("normal",) * 3,
    own=(),
    cls=VAENetwork,
    **parts,
):
    """``own`` names the parts of the second modality that are modules of a user's."""
    dense = partial(Dense, hidden_layer_sizes=layers, activation=activation, dropout=dropout)
    likelihoods = [LIKELIHOODS[name](size) for name, size in zip(likelihoods, SIZES, strict=True)]
    family = POSTERIORS[family]() if isinstance(family, str) else family
    n_raw = family.n_raw(N_COMPONENTS + sum(parts.get("n_private", ())))
    with isolated_rng(0):
        rule = build_fusion(fusion, Sizes(tuple(2 * size for size in SIZES), n_raw, dense))
        encoders = [dense(2 * size, n_raw) for size in SIZES]
        decoders = [dense(N_COMPONENTS, likelihood.n_raw) for likelihood in likelihoods]
        if "encoder" in own:
            encoders[1] = Trunk(nn.Sequential(nn.Linear(SIZES[1], 4), nn.Tanh()), SIZES[1], n_raw)
        if "decoder" in own:
            decoders[1] = Trunk(nn.Linear(N_COMPONENTS, 4), N_COMPONENTS, likelihoods[1].n_raw)
        network = cls(
            names=("a", "b", "c"),
            encoders=encoders if getattr(rule, "uses_experts", True) else [],
            decoders=decoders,
            likelihoods=likelihoods,
            sees_mask=(True, "encoder" not in own, True),
            fusion=rule,
            family=family,
            prior=PRIORS[prior](N_COMPONENTS),
            weights=(1.0, 0.5, 2.0),
            n_components=N_COMPONENTS,
            **parts,
        ).double()
        with torch.no_grad():  # last layers start at zero, noise at one, powers at one
            for parameter in network.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
    return network


@pytest.fixture
def blocks():
    """Rows with everything, without modalities, without cells, and an empty one; zeros and ones."""
    with isolated_rng(1):
        joint = (torch.rand(9, sum(SIZES), dtype=torch.float64) < 0.5).double()
        observed = torch.rand(9, sum(SIZES)) < 0.8
    observed[0], observed[1], observed[2, :3], observed[3, 3:] = True, False, False, False
    return Blocks.from_joint(joint, observed, SIZES)


@pytest.fixture
def hidden(blocks):
    """The same rows with more hidden."""
    observed = blocks.joint_observed.clone()
    observed[0, 3:5] = observed[4, :3] = False
    return Blocks.from_joint(blocks.joint, observed, SIZES)


def evaluate(network, objective, inputs, targets, *, written):
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    with isolated_rng(3):
        if written:
            terms, pull = value_and_pullback(objective, network, inputs, targets, BETA)
        else:
            terms = objective(network, inputs, targets, BETA)
            pull = terms.loss.backward
        pull()
    return terms, {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


def assert_same(network, hidden, blocks, *, objective=None):
    objective = ELBO() if objective is None else objective
    assert written_out._is_common(objective, network)
    terms, gradients = evaluate(network, objective, hidden, blocks, written=True)
    expected, of_expected = evaluate(network, objective, hidden, blocks, written=False)
    for name in ("loss", "reconstruction", "kl", "bound"):
        torch.testing.assert_close(getattr(terms, name), getattr(expected, name), rtol=1e-10, atol=1e-10)
        assert not getattr(terms, name).requires_grad
    assert gradients.keys() == of_expected.keys()
    for name, gradient in gradients.items():
        size = max(1e-3, of_expected[name].abs().max())
        assert (gradient - of_expected[name]).abs().max() < 1e-9 * size, name
    return of_expected


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("layers", [(), (5,), (6, 4)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_default_networks(hidden, blocks, activation, layers, dropout):
    network = make_network(activation=activation, layers=layers, dropout=dropout)
    gradients = assert_same(network, hidden, blocks)
    assert all(gradient.abs().max() > 0 for gradient in gradients.values())


def test_dropout_is_for_training(hidden, blocks):
    network = make_network(dropout=0.3).eval()
    assert_same(network, hidden, blocks)
    one, _ = evaluate(network, ELBO(), hidden, blocks, written=True)
    other, _ = evaluate(network.train(), ELBO(), hidden, blocks, written=True)
    assert one.loss != other.loss


@pytest.mark.parametrize("n_draws", [1, 4])
@pytest.mark.parametrize("likelihoods", [("normal",) * 3, ("bernoulli", "normal", "student_t")])
def test_draws(hidden, blocks, n_draws, likelihoods):
    assert_same(make_network(likelihoods=likelihoods), hidden, blocks, objective=ELBO(n_draws))


@pytest.mark.parametrize("scale", [10.0, 100.0])
def test_precision_at_its_limits(hidden, blocks, scale):
    network = make_network()
    with torch.no_grad():
        for encoder in network.encoders:
            encoder.first.weight[N_COMPONENTS : 2 * N_COMPONENTS] *= scale
    assert network.encode(network.inputs(hidden), hidden)[..., N_COMPONENTS:].abs().max() > 10
    assert_same(network, hidden, blocks)


@pytest.mark.parametrize("fusion", [name for name in FUSIONS if name not in ("joint", "set")])
def test_fusion_rules(hidden, blocks, fusion):
    assert_same(make_network(fusion=fusion), hidden, blocks)


@pytest.mark.parametrize("prior", ["learned_normal", "mixture"])
def test_priors(hidden, blocks, prior):
    assert_same(make_network(prior=prior), hidden, blocks, objective=ELBO(2))


@pytest.mark.parametrize(
    ("family", "prior"), [("laplace", "laplace"), (NormalFamily(relative=False), "normal")]
)
def test_posterior_families(hidden, blocks, family, prior):
    assert_same(make_network(family=family, prior=prior), hidden, blocks)


@pytest.mark.parametrize("own", [("encoder",), ("decoder",), ("encoder", "decoder")])
def test_users_modules(hidden, blocks, own):
    assert_same(make_network(own=own), hidden, blocks)


def test_users_module_that_works_in_place(hidden, blocks):
    """On its input, which is that of other decoders too."""
    found = []
    for inplace in (False, True):
        network = make_network(own=("decoder",))
        network.decoders[1].body = nn.Sequential(nn.ReLU(inplace=inplace), network.decoders[1].body)
        found.append(evaluate(network, ELBO(), hidden, blocks, written=True))
    (terms, gradients), (other, of_other) = found
    assert other.loss == terms.loss
    for (_, gradient), (_, expected) in zip(sorted(of_other.items()), sorted(gradients.items()), strict=True):
        torch.testing.assert_close(gradient, expected)


def test_users_module_that_learns_nothing(hidden, blocks):
    network = make_network(own=("encoder", "decoder"))
    for module in (network.encoders[1], network.decoders[1]):
        module.requires_grad_(requires_grad=False)
    assert_same(network, hidden, blocks)


def test_frozen_defaults(hidden, blocks):
    network = make_network()
    for module in (network.encoders[0], network.decoders[1], network.likelihoods[2]):
        module.requires_grad_(requires_grad=False)
    assert_same(network, hidden, blocks)
    assert network.encoders[0].first.weight.grad is None


def test_one_network_for_several_modalities(hidden, blocks):
    network = make_network()
    network.decoders[0] = network.decoders[1]
    network.encoders[0] = network.encoders[1]
    network.likelihoods[0] = Normal(2).double()

    def cut(rows):
        return Blocks.from_joint(rows.joint[:, 1:], rows.joint_observed[:, 1:], (2, 2, 4))

    assert_same(network, cut(hidden), cut(blocks))


def test_values_where_nothing_was_observed_do_not_matter(hidden, blocks):
    network = make_network()
    terms, gradients = evaluate(network, ELBO(), hidden, blocks, written=True)
    spoilt = torch.where(blocks.joint_observed, blocks.joint, 1e30)
    targets = Blocks.from_joint(spoilt, blocks.joint_observed, SIZES)
    inputs = Blocks.from_joint(spoilt, hidden.joint_observed, SIZES)
    other, of_other = evaluate(network, ELBO(), inputs, targets, written=True)
    assert other.loss == terms.loss
    assert all((of_other[name] == gradient).all() for name, gradient in gradients.items())


def test_what_is_infinite_where_nothing_was_observed_does_not_matter(hidden, blocks):
    """Neither a decoder's answer to what is missing, nor an encoder's about a modality that is absent."""
    network = make_network()
    rows = torch.tensor([2, 4])  # without the first modality in what encoders see, the first not observed
    inputs, targets = hidden.rows(rows), blocks.rows(rows[:1].expand(2))
    with torch.no_grad():
        network.decoders[0].first.bias[0] = torch.inf
        network.encoders[0].first.bias[0] = torch.inf
    terms, _ = evaluate(network, ELBO(), inputs, targets, written=True)
    expected, _ = evaluate(network, ELBO(), inputs, targets, written=False)
    assert expected.loss.isfinite()
    torch.testing.assert_close(terms.loss, expected.loss.detach(), rtol=1e-10, atol=0)


def test_gradients_are_added(hidden, blocks):
    network = make_network()
    _, gradients = evaluate(network, ELBO(), hidden, blocks, written=True)
    once = {name: gradient.clone() for name, gradient in gradients.items()}
    with isolated_rng(3):
        value_and_pullback(ELBO(), network, hidden, blocks, BETA)[1]()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.grad, 2 * once[name])


def test_nothing_is_recorded_of_the_defaults(hidden, blocks, monkeypatch):
    monkeypatch.setattr(written_out, "_recorded", None)
    evaluate(make_network(), ELBO(), hidden, blocks, written=True)
    with pytest.raises(TypeError):
        evaluate(make_network(fusion="moe"), ELBO(), hidden, blocks, written=True)


def test_defaults_of_the_estimator_are_written_out(monkeypatch):
    monkeypatch.setattr(written_out, "_recorded", None)
    X = [[0.1 * i, (i % 7) * 1.0, i % 3 + 0.5] for i in range(30)]
    model = skmm.MultimodalVAE(modalities={"a": [0], "b": [1, 2]}, max_iter=2, random_state=0).fit(X)
    assert model.n_iter_ == 2


class Other(VAENetwork):
    """Could do anything otherwise."""


class Halved(ELBO):
    """Could do anything otherwise."""


@pytest.mark.parametrize(
    ("objective", "how"),
    [
        (Halved(), {}),
        (IWAE(), {}),
        (ELBO(gradient="stl"), {}),
        (ELBO(), {"cls": Other}),
        (ELBO(), {"fusion": "joint"}),
    ],
)
def test_is_taken_for_what_it_is_made_for_only(hidden, blocks, objective, how):
    network = make_network(**how)
    assert not written_out._is_common(objective, network)
    terms, _ = evaluate(network, objective, hidden, blocks, written=True)
    expected, _ = evaluate(network, objective, hidden, blocks, written=False)
    assert terms.loss == expected.loss


class Doubled(Normal):
    """A likelihood of a user's that is no normal one any more."""

    def forward(self, raw):
        return super().forward(2 * raw)


class Reversed(Dense):
    """A user's network made from the default one."""

    def forward(self, x):
        return super().forward(x).flip(-1)


def test_what_is_made_from_a_default_part_is_not_taken_for_it(hidden, blocks):
    network = make_network()
    network.likelihoods[0] = Doubled(3).double()
    with isolated_rng(0):
        network.encoders[1] = Reversed(4, 2 * N_COMPONENTS, (5,), "silu", 0.0).double()
        network.decoders[2] = Reversed(N_COMPONENTS, 4, (5,), "silu", 0.0).double()
    assert_same(network, hidden, blocks)
