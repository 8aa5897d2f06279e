"""The default network, and users' modules in its place."""

import copy

import pytest
import torch
from torch import nn

from skmm._torch import isolated_rng
from skmm.networks.dense import ACTIVATIONS, Dense, Dropout, Trunk, build_network


@pytest.fixture(autouse=True)
def seeded():
    with isolated_rng(0):
        yield


# Dense


def curvature(network, n_in):
    """How far a network is from being affine: f(x + y) - f(x) - f(y) + f(0)."""
    x, y = torch.randn(2, 20, n_in)
    zero = torch.zeros(20, n_in)
    with torch.no_grad():
        return (network(x + y) - network(x) - network(y) + network(zero)).abs().max().item()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden_layer_sizes", [(8,), (8, 4)])
def test_starts_linear_and_bends_with_training(activation, hidden_layer_sizes):
    network = Dense(3, 2, hidden_layer_sizes, activation, dropout=0.0)
    x = torch.randn(10, 3)
    torch.testing.assert_close(network(x), x @ network.first.weight[:2].T + network.first.bias[:2])
    assert curvature(network, 3) < 1e-5

    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(3):  # the first step moves the last layer only, then the others receive a gradient
        optimizer.zero_grad()
        (network(x) - x[:, :2].square()).square().mean().backward()
        optimizer.step()
    assert all((parameter.grad != 0).any() for parameter in network.parameters())
    assert curvature(network, 3) > 1e-4


def test_last_layer_starts_at_zero_and_no_other():
    network = Dense(3, 2, (8, 4), "relu", dropout=0.5)
    assert network.last.shape == (2, 4)
    assert (network.last == 0).all()
    inner = [network.first, *(layer for layer in network.hidden if isinstance(layer, nn.Linear))]
    assert [tuple(layer.weight.shape) for layer in inner] == [(2 + 8, 3), (4, 8)]
    assert all((layer.weight != 0).all() for layer in inner)


def test_without_hidden_layers_there_is_the_linear_path_alone():
    network = Dense(3, 2, (), "silu", dropout=0.5)
    assert sum(parameter.numel() for parameter in network.parameters()) == 3 * 2 + 2
    x = torch.randn(10, 3)
    torch.testing.assert_close(network(x), x @ network.first.weight.T + network.first.bias)


def test_dropout_falls_on_every_hidden_layer_in_training_only():
    network = Dense(3, 2, (400, 400), "relu", dropout=0.25)
    nn.init.ones_(network.last)
    dropouts = [layer for layer in network.hidden if isinstance(layer, Dropout)]
    assert [layer.rate for layer in dropouts] == [0.25, 0.25]
    x = torch.randn(5, 3)
    assert not torch.equal(network(x), network(x))
    network.eval()
    torch.testing.assert_close(network(x), network(x), rtol=0, atol=0)
    hidden = dropouts[0].train()(torch.ones(1, 100_000))
    assert (hidden == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    torch.testing.assert_close(hidden.unique(), torch.tensor([0.0, 4 / 3]))


def test_no_dropout_layer_where_there_is_no_dropout():
    assert not [m for m in Dense(3, 2, (8,), "relu", dropout=0.0).modules() if isinstance(m, Dropout)]


def test_leading_axes():
    network = Dense(3, 2, (8,), "tanh", dropout=0.0)
    nn.init.normal_(network.last)
    x = torch.randn(4, 5, 3)
    torch.testing.assert_close(network(x), network(x.reshape(-1, 3)).reshape(4, 5, 2))


# users' modules


def convolutions():
    """An encoder and a decoder of 8 x 8 images, as a user would write them."""
    encoder = nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU())
    decoder = nn.Sequential(
        nn.Linear(3, 4 * 4 * 4),
        nn.Unflatten(1, (4, 4, 4)),
        nn.ConvTranspose2d(4, 1, 4, stride=2, padding=1),
        nn.Flatten(),
    )
    return encoder, decoder


class TestTrunk:
    def test_is_the_body_with_a_linear_head(self):
        body = nn.Sequential(nn.Linear(3, 6), nn.Tanh())
        trunk = Trunk(body, 3, 2)
        x = torch.randn(10, 3)
        torch.testing.assert_close(trunk(x), trunk.head(body(x)))
        assert trunk.head.weight.shape == (2, 6)

    def test_flattens_what_the_body_returns(self):
        encoder, _ = convolutions()
        trunk = Trunk(encoder, 64, 5)
        assert trunk.head.weight.shape == (5, 4 * 4 * 4)
        x = torch.randn(10, 64)
        torch.testing.assert_close(trunk(x), trunk.head(encoder(x).reshape(10, -1)))


class TestBuildNetwork:
    def test_module_is_copied_and_given_a_head(self):
        module = nn.Linear(3, 6)
        before = copy.deepcopy(module.state_dict())
        network = build_network(module, 3, 2, role="encoder", modality="m")
        assert isinstance(network, Trunk)
        torch.testing.assert_close(network.body(torch.ones(1, 3)), module(torch.ones(1, 3)))

        network(torch.randn(10, 3)).sum().backward()
        torch.optim.SGD(network.parameters(), lr=1.0).step()
        assert (network.body.weight != module.weight).any()
        assert module.weight.grad is None
        for key, value in module.state_dict().items():
            torch.testing.assert_close(value, before[key], rtol=0, atol=0)

    @pytest.mark.parametrize("training", [True, False])
    def test_building_leaves_the_users_module_alone(self, training):
        """Its mode, its batch statistics and its data type too."""
        module = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6)).double().train(training)
        before = copy.deepcopy(module.state_dict())
        network = build_network(module, 3, 2, role="encoder", modality="m")
        assert all(part.training == training for part in module.modules())
        for state in (module.state_dict(), network.body.state_dict()):
            for key, value in state.items():
                torch.testing.assert_close(value, before[key], check_dtype=False, rtol=1e-6, atol=0)
        assert module[0].weight.dtype == torch.float64
        assert network(torch.randn(4, 3)).dtype == torch.float32

    def test_building_draws_nothing_from_the_module(self):
        """A body with dropout is probed without it."""
        module = nn.Sequential(nn.Linear(3, 6), nn.Dropout(0.5))
        with isolated_rng(1):
            build_network(module, 3, 2, role="encoder", modality="m")
            after = torch.rand(1)
        with isolated_rng(1):
            nn.Linear(6, 2)  # the head
            torch.testing.assert_close(torch.rand(1), after, rtol=0, atol=0)

    def test_factory_is_given_both_widths_and_returns_the_whole(self):
        calls = []

        def factory(n_in, n_out):
            calls.append((n_in, n_out))
            return nn.Sequential(nn.Linear(n_in, 7), nn.ReLU(), nn.Linear(7, n_out))

        network = build_network(factory, 3, 2, role="decoder", modality="m")
        assert calls == [(3, 2)]
        assert isinstance(network, nn.Sequential)
        assert network(torch.randn(10, 3)).shape == (10, 2)

    def test_a_module_class_is_a_factory(self):
        network = build_network(nn.Linear, 3, 2, role="decoder", modality="m")
        assert isinstance(network, nn.Linear)
        assert network.weight.shape == (2, 3)

    def test_factory_runs_under_the_seed(self):
        def build():
            with isolated_rng(4):
                return build_network(nn.Linear, 3, 2, role="decoder", modality="m").weight

        torch.testing.assert_close(build(), build(), rtol=0, atol=0)

    def test_convolutions(self):
        encoder, decoder = convolutions()
        images = torch.randn(10, 64)
        code = build_network(encoder, 64, 6, role="encoder", modality="image")(images)
        assert code.shape == (10, 6)
        network = build_network(lambda n_in, n_out: decoder, 3, 64, role="decoder", modality="image")
        torch.testing.assert_close(network(code[:, :3]), decoder(code[:, :3]))

    @pytest.mark.parametrize("spec", [3, "linear", None, [nn.Linear(3, 2)]])
    def test_neither_module_nor_factory(self, spec):
        with pytest.raises(
            TypeError,
            match=r"^The encoder of modality 'm' must be a torch Module or a callable f\(n_in, n_out\)",
        ):
            build_network(spec, 3, 2, role="encoder", modality="m")

    def test_factory_returns_no_module(self):
        with pytest.raises(
            TypeError, match=r"^The decoder of modality 'm': the factory must return a torch Modu"
        ):
            build_network(lambda n_in, n_out: torch.relu, 3, 2, role="decoder", modality="m")

    @pytest.mark.parametrize("spec", [nn.Linear(5, 2), lambda n_in, n_out: nn.Linear(5, n_out)])
    def test_wrong_input_width(self, spec):
        with pytest.raises(
            ValueError, match=r"^The encoder of modality 'm' failed on an input of shape \(2, 3\)"
        ):
            build_network(spec, 3, 2, role="encoder", modality="m")

    @pytest.mark.parametrize(
        ("factory", "returned"),
        [
            (lambda n_in, n_out: nn.Linear(n_in, n_out + 1), r"\(2, 3\)"),
            (lambda n_in, n_out: nn.Sequential(nn.Linear(n_in, n_out), nn.Flatten(0)), r"\(4,\)"),
            (
                lambda n_in, n_out: nn.Sequential(nn.Linear(n_in, n_out), nn.Unflatten(1, (1, 2))),
                r"\(2, 1, 2\)",
            ),
        ],
    )
    def test_wrong_output_shape(self, factory, returned):
        with pytest.raises(
            ValueError, match=rf"must return shape \(n, 2\) for n rows, but returned {returned} for"
        ):
            build_network(factory, 3, 2, role="encoder", modality="m")

    def test_body_that_mixes_rows(self):
        """A module must return one row per row."""
        with pytest.raises(ValueError, match=r"The encoder of modality 'm'"):
            build_network(nn.Flatten(0), 3, 2, role="encoder", modality="m")

    @pytest.mark.parametrize("spec", [nn.LSTM(3, 4), lambda n_in, n_out: nn.LSTM(n_in, n_out)])
    def test_module_that_returns_no_tensor(self, spec):
        with pytest.raises(ValueError, match=r"The encoder of modality 'm' .* tuple"):
            build_network(spec, 3, 2, role="encoder", modality="m")
