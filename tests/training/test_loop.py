"""The training loop: it learns, keeps the best weights, stops in time, and says what went wrong."""

import math
import re

import numpy as np
import pytest
import torch
from torch import nn

import skmm
from skmm._blocks.blocks import Blocks
from skmm._torch import isolated_rng
from skmm.networks.dense import Dense
from skmm.networks.vae import VAENetwork
from skmm.probability.fusion import FUSIONS
from skmm.probability.likelihoods.registry import LIKELIHOODS
from skmm.probability.posteriors import NormalFamily
from skmm.probability.priors import StandardNormal
from skmm.training.loop import fit_network
from skmm.training.objectives.bounds import ELBO
from skmm.training.objectives.contract import Terms
from skmm.training.objectives.registry import OBJECTIVES
from skmm.training.schedules import SCHEDULES, ConstantSchedule, LinearSchedule

SIZES = (3, 2)


@pytest.fixture(autouse=True)
def seeded():
    with isolated_rng(0):
        yield


def make_network():
    family = NormalFamily()
    return VAENetwork(
        names=("a", "b"),
        encoders=[Dense(2 * size, family.n_raw(1), (8,), "silu", 0.0) for size in SIZES],
        decoders=[Dense(1, size, (8,), "silu", 0.0) for size in SIZES],
        likelihoods=[LIKELIHOODS["normal"](size) for size in SIZES],
        sees_mask=(True, True),
        fusion=FUSIONS["poe"],
        family=family,
        prior=StandardNormal(1),
        weights=(1.0, 1.0),
        n_components=1,
    )


def make_blocks(n):
    """Five features that share one latent variable: standardised, with noise of 0.3."""
    noise = 0.3
    joint = torch.randn(n, 1) * math.sqrt(1 - noise**2) + noise * torch.randn(n, 5)
    observed = torch.ones(n, 5, dtype=torch.bool)
    observed[: n // 5, :3] = False
    return Blocks.from_joint(joint, observed, SIZES)


def exact_log_likelihood(blocks):
    covariance = 0.91 * torch.ones(5, 5) + 0.09 * torch.eye(5)
    total = 0.0
    for values, seen in zip(blocks.joint, blocks.joint_observed, strict=True):
        normal = torch.distributions.MultivariateNormal(
            torch.zeros(int(seen.sum())), covariance[seen][:, seen]
        )
        total += normal.log_prob(values[seen]).item()
    return total / blocks.n_rows


def fit(network, blocks, objective=None, *, validation=None, **changes):
    settings = {
        "validate": None if validation is None else lambda network: score(network, validation),
        "corruption": lambda inputs: inputs,
        "beta": ConstantSchedule(1.0),
        "batch_size": 50,
        "max_iter": 5,
        "learning_rate": 0.01,
        "weight_decay": 0.0,
        "n_iter_no_change": 1000,
        "tol": 0.0,
    }
    return fit_network(network, objective or ELBO(), blocks, **{**settings, **changes})


def score(network, blocks):
    """The evidence bound, under the same noise in every call."""
    with isolated_rng(0), torch.no_grad():
        return ELBO()(network, blocks, blocks, 1.0).bound.item()


def state(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def assert_same_weights(actual, expected):
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, rtol=0, atol=0)


# learning


# one needs a mixture; the prior of the other moves with the data, and is then not that of the likelihood
@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name not in ("mmvae", "mmvm", "mmjsd")])
def test_reaches_the_exact_likelihood(name):
    blocks, test = make_blocks(1000), make_blocks(200)
    network = make_network()
    history = fit(network, blocks, OBJECTIVES[name](), max_iter=40, learning_rate=0.02)
    assert history.n_iter == len(history.loss) == 40
    assert history.loss[-1] < history.loss[0] - 2
    np.testing.assert_array_less(np.diff(np.reshape(history.loss, (4, 10)).mean(1)), 0)
    with torch.no_grad():
        bound = OBJECTIVES["iwae"](n_draws=500)(network, test, test, 1.0).bound.item()
    assert bound == pytest.approx(exact_log_likelihood(test), abs=0.15)


def test_history_is_the_mean_over_rows():
    """Also where a last row, left over, has joined the batch before."""
    blocks = make_blocks(21)
    network = make_network()
    expected = {"loss": [], "reconstruction": [], "kl": []}

    def recording(network, inputs, targets, beta):
        terms = ELBO()(network, inputs, targets, beta)
        for field, values in expected.items():
            values.append((getattr(terms, field).detach(), inputs.n_rows))
        return terms

    history = fit(network, blocks, recording, max_iter=1, batch_size=10)
    assert [n for _, n in expected["loss"]] == [10, 11]
    for field, values in expected.items():
        mean = sum(value * n for value, n in values) / 21
        np.testing.assert_allclose(getattr(history, field)[0], mean, rtol=1e-5)


def test_every_row_is_seen_once_an_epoch_in_a_new_order():
    blocks = make_blocks(30)
    seen = []

    def recording(network, inputs, targets, beta):
        seen.append(targets.joint[:, 0])
        torch.testing.assert_close(inputs.joint, targets.joint)
        return ELBO()(network, inputs, targets, beta)

    fit(make_network(), blocks, recording, max_iter=2, batch_size=8)
    assert [len(batch) for batch in seen] == [8, 8, 8, 6] * 2
    first, second = torch.cat(seen[:4]), torch.cat(seen[4:])
    torch.testing.assert_close(first.sort().values, blocks.joint[:, 0].sort().values)
    torch.testing.assert_close(second.sort().values, blocks.joint[:, 0].sort().values)
    assert not torch.equal(first, second)


def test_encoders_see_the_corrupted_rows_and_the_objective_scores_the_others():
    def corruption(blocks):
        return Blocks.from_joint(blocks.joint, torch.zeros_like(blocks.joint_observed), SIZES)

    def checking(network, inputs, targets, beta):
        assert not inputs.present.any()
        assert targets.present.any(0).all()
        return ELBO()(network, inputs, targets, beta)

    history = fit(make_network(), make_blocks(50), checking, corruption=corruption)
    np.testing.assert_allclose(history.kl, 0.0, atol=1e-6)
    assert all(value < 0 for value in history.reconstruction[-1])


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_goes_from_the_first_step_to_the_last(name):
    betas = []

    def recording(network, inputs, targets, beta):
        betas.append(beta)
        return ELBO()(network, inputs, targets, beta)

    schedule = SCHEDULES[name]()
    fit(make_network(), make_blocks(100), recording, beta=schedule, max_iter=3)
    assert betas == [schedule(step / 5) for step in range(6)]


def test_a_single_step():
    history = fit(make_network(), make_blocks(2), max_iter=1, batch_size=1000)
    assert history.n_iter == 1
    assert history.best_epoch == 0


def test_weight_decay_leaves_biases_and_noise_alone():
    """With a gradient of zero, weights shrink and the rest stays."""
    network = make_network()
    before = state(network)

    def indifferent(network, inputs, targets, beta):
        terms = ELBO()(network, inputs, targets, beta)
        return Terms(0 * terms.loss, terms.reconstruction, terms.kl, terms.bound)

    fit(network, make_blocks(50), indifferent, weight_decay=0.5, learning_rate=0.1)
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1 and before[name].abs().sum() > 0:
            assert (parameter.abs() < before[name].abs()).all()
        else:
            torch.testing.assert_close(parameter.detach(), before[name], rtol=0, atol=0)


def test_frozen_parameters_stay():
    network = make_network()
    network.decoders[0].requires_grad_(requires_grad=False)
    before = state(network.decoders[0])
    fit(network, make_blocks(50), weight_decay=0.1)
    assert_same_weights(network.decoders[0].state_dict(), before)


def test_network_trains_in_training_mode_and_is_judged_and_left_in_evaluation_mode():
    modes = []

    def recording(network, inputs, targets, beta):
        modes.append(network.training)
        return ELBO()(network, inputs, targets, beta)

    def validate(network):
        modes.append(network.training)
        return 0.0

    network = make_network().eval()
    fit(network, make_blocks(20), recording, validate=validate, max_iter=2)
    assert modes == [True, False] * 2
    assert not network.training


# the best weights


class Spoiling:
    """Learns in the first steps, and unlearns in those that follow."""

    def __init__(self, n_good_steps):
        self.n_good_steps, self.n_steps = n_good_steps, 0

    def __call__(self, network, inputs, targets, beta):
        terms = ELBO()(network, inputs, targets, beta)
        self.n_steps += 1
        sign = 1 if self.n_steps <= self.n_good_steps else -1
        return Terms(sign * terms.loss, terms.reconstruction, terms.kl, terms.bound)


@pytest.fixture
def spoiled():
    """Training of two steps an epoch that goes wrong after epoch 15."""

    def run(network, validation, **changes):
        changes = {"max_iter": 30, "learning_rate": 0.05} | changes
        return fit(network, make_blocks(100), Spoiling(30), validation=validation, **changes)

    return run


def test_best_weights_are_kept(spoiled):
    network, validation = make_network(), make_blocks(100)
    history = spoiled(network, validation)
    assert history.n_iter == len(history.validation) == 30
    assert history.best_epoch == np.argmax(history.validation)
    assert 10 <= history.best_epoch <= 16
    assert history.validation[-1] < max(history.validation) - 1
    assert score(network, validation) == pytest.approx(max(history.validation), rel=1e-5)


def test_last_weights_are_kept_without_validation(spoiled):
    validated, network, validation = make_network(), make_network(), make_blocks(100)
    best = max(spoiled(validated, validation).validation)
    history = spoiled(network, None)
    assert history.validation == []
    assert history.best_epoch == 29
    assert score(network, validation) < best - 1


def test_stops_when_nothing_improves(spoiled):
    history = spoiled(make_network(), make_blocks(100), n_iter_no_change=2)
    assert history.n_iter == history.best_epoch + 1 + 2 < 30


def test_improvements_below_tol_do_not_prolong_training():
    """But the best weights are kept, also where they are better by less than that."""
    network, validation = make_network(), make_blocks(100)
    history = fit(
        network, make_blocks(100), validation=validation, tol=100.0, n_iter_no_change=3, max_iter=20
    )
    assert (np.diff(history.validation) > 0).all()
    assert history.n_iter == 4
    assert history.best_epoch == 3
    assert score(network, validation) == pytest.approx(history.validation[3], rel=1e-5)


@pytest.mark.parametrize("warmup", [0.25, 0.6, 1.0])
def test_no_weights_are_chosen_before_the_warmup_ends(warmup):
    """Although validation gets worse from the first epoch on."""
    history = fit(
        make_network(),
        make_blocks(100),
        Spoiling(0),
        validation=make_blocks(100),
        beta=LinearSchedule(warmup=warmup),
        max_iter=10,
        n_iter_no_change=1,
        learning_rate=1e-3,
    )
    last_steps = (2 * np.arange(10) + 1) / 19  # progress at the end of each epoch
    assert history.best_epoch == np.flatnonzero(last_steps >= warmup)[0]
    assert history.n_iter == min(10, history.best_epoch + 2)


@pytest.mark.parametrize(("max_iter", "every"), [(100, 1), (101, 2), (250, 3)])
def test_long_trainings_are_not_validated_after_every_epoch(max_iter, every):
    """But always after the last."""
    validated = []

    def validate(network):
        validated.append(steps[0])
        return float(steps[0])

    steps = [0]

    def counting(inputs):
        steps[0] += 1
        return inputs

    history = fit(make_network(), make_blocks(2), validate=validate, corruption=counting, max_iter=max_iter)
    expected = [epoch for epoch in range(1, max_iter + 1) if epoch % every == 0 or epoch == max_iter]
    assert validated == history.validation == expected
    assert history.best_epoch == max_iter - 1


def test_validation_that_is_never_a_number_keeps_the_last_weights():
    history = fit(make_network(), make_blocks(50), validate=lambda network: math.nan)
    assert history.n_iter == 5
    assert history.best_epoch == 4


# what goes wrong


class Failing(nn.Module):
    """A linear layer that returns NaN from some call on."""

    def __init__(self, n_in, n_out, n_good_calls):
        super().__init__()
        self.linear, self.n_good_calls, self.n_calls = nn.Linear(n_in, n_out), n_good_calls, 0

    def forward(self, x):
        self.n_calls += 1
        return self.linear(x) * (1.0 if self.n_calls <= self.n_good_calls else torch.nan)


class TestNotFinite:
    @pytest.mark.parametrize("epoch", [1, 3])
    def test_encoder(self, epoch):
        network = make_network()
        network.encoders[1] = Failing(4, 2, n_good_calls=2 * (epoch - 1) + 1)
        message = (
            rf"^The loss became nan in epoch {epoch}: .*the KL divergence is not finite; the encoder of modal"
        )
        with pytest.raises(FloatingPointError, match=message):
            fit(network, make_blocks(100))

    @pytest.mark.parametrize("epoch", [1, 3])
    def test_decoder(self, epoch):
        """Its NaN reaches every weight in the backward pass, but the blame stays where it began."""
        network = make_network()
        network.decoders[1] = Failing(1, 2, n_good_calls=2 * (epoch - 1))
        message = (
            rf"in epoch {epoch}: the reconstruction of modality 'b' is not finite; the decoder of .* 'b'"
        )
        with pytest.raises(FloatingPointError, match=message):
            fit(network, make_blocks(100))

    def test_term_is_named(self):
        """Only the first modality's likelihood is infinite."""
        blocks = make_blocks(100)
        blocks.joint[:, 0] = 1e25
        network = make_network()
        with pytest.raises(
            FloatingPointError,
            match=r"in epoch 1: the reconstruction of modality 'a'.* Try a smaller learning_rate",
        ):
            fit(network, blocks, max_iter=1, batch_size=100)

    def test_divergence(self):
        """Steps that are far too large end in an error, not in a useless estimator."""
        with pytest.raises(FloatingPointError, match=r"The loss became (nan|inf|-inf) in epoch \d+: "):
            fit(make_network(), make_blocks(100), learning_rate=1e30, max_iter=50)

    @pytest.mark.parametrize(
        ("n_good_calls", "message"),
        [
            (0, "the encoder of modality 'b' returned NaN"),
            (20, r"^The loss became nan in epoch \d+: .* the encoder of modality .* check your own encoders"),
        ],
    )
    def test_users_encoder(self, n_good_calls, message):
        X = np.random.RandomState(0).normal(size=(60, 4))
        model = skmm.MultimodalVAE(
            2,
            modalities={"a": [0, 1], "b": [2, 3]},
            encoders={"b": lambda n_in, n_out: Failing(n_in, n_out, n_good_calls)},
            random_state=0,
        )
        with pytest.raises(FloatingPointError, match=message):
            model.fit(X)
        assert not hasattr(model, "module_")

    def test_objective_alone(self):
        def undefined(network, inputs, targets, beta):
            terms = ELBO()(network, inputs, targets, beta)
            return Terms(terms.loss * torch.nan, terms.reconstruction, terms.kl, terms.bound)

        with pytest.raises(FloatingPointError, match="in epoch 1: their sum is not finite"):
            fit(make_network(), make_blocks(50), undefined)


class Interrupted(Spoiling):
    """The user presses Ctrl-C in the middle of an epoch of two steps."""

    def __init__(self, epoch, n_good_steps=1000):
        super().__init__(n_good_steps)
        self.last_step = 2 * epoch - 1

    def __call__(self, network, inputs, targets, beta):
        if self.n_steps == self.last_step:
            raise KeyboardInterrupt
        return super().__call__(network, inputs, targets, beta)


class TestInterruption:
    def test_keeps_the_best_weights(self):
        network, validation = make_network(), make_blocks(100)
        with pytest.warns(
            UserWarning, match="interrupted in epoch 3 of 5; the estimator keeps the best weights"
        ):
            history = fit(
                network,
                make_blocks(100),
                Interrupted(3, n_good_steps=2),
                validation=validation,
                learning_rate=0.05,
            )
        assert history.n_iter == 2
        assert history.best_epoch == 0
        assert history.validation[0] > history.validation[1]
        assert score(network, validation) == pytest.approx(history.validation[0], rel=1e-5)
        assert not network.training

    def test_keeps_what_it_has_without_validation(self):
        network = make_network()
        before = state(network)
        with pytest.warns(UserWarning, match="interrupted in epoch 2 of 5"):
            history = fit(network, make_blocks(100), Interrupted(2))
        assert (history.n_iter, history.best_epoch) == (1, 0)
        assert any((value != before[name]).any() for name, value in network.state_dict().items())

    def test_first_epoch(self):
        with pytest.raises(KeyboardInterrupt):
            fit(make_network(), make_blocks(100), Interrupted(1))

    def test_in_the_corruption(self):
        calls = []

        def corruption(blocks):
            calls.append(blocks)
            if len(calls) == 3:  # once an epoch, of so few rows
                raise KeyboardInterrupt
            return blocks

        with pytest.warns(UserWarning, match="interrupted in epoch 3 of 5"):
            history = fit(make_network(), make_blocks(100), corruption=corruption)
        assert history.n_iter == 2

    def test_estimator_is_fitted_afterwards(self):
        X = np.random.RandomState(0).normal(size=(100, 5))
        model = skmm.MultimodalVAE(
            1, objective=Interrupted(3), batch_size=50, max_iter=5, early_stopping=False, random_state=0
        )
        with pytest.warns(UserWarning, match="interrupted in epoch 3 of 5"):
            model.fit(X)
        assert model.n_iter_ == 2
        assert np.isfinite(model.transform(X)).all()


# talking


LINE = r"epoch (\d+)/{}: loss (-?\d+\.\d{{4}}), kl \d+\.\d{{4}}"


@pytest.mark.parametrize(
    ("verbose", "max_iter", "epochs"),
    [
        (0, 5, []),
        (1, 5, [1, 2, 3, 4, 5]),
        (1, 70, [1, *range(3, 70, 3), 70]),
        (2, 25, list(range(1, 26))),
    ],
)
def test_verbose(verbose, max_iter, epochs, capsys):
    history = fit(make_network(), make_blocks(20), verbose=verbose, max_iter=max_iter)
    lines = capsys.readouterr().out.splitlines()
    matches = [re.fullmatch(LINE.format(max_iter), line) for line in lines]
    assert [int(match[1]) for match in matches] == epochs
    assert [match[2] for match in matches] == [f"{history.loss[epoch - 1]:.4f}" for epoch in epochs]


def test_verbose_shows_validation(capsys):
    history = fit(make_network(), make_blocks(20), verbose=1, max_iter=1, validation=make_blocks(20))
    assert capsys.readouterr().out.strip().endswith(f", validation {history.validation[0]:.4f}")
