"""One encoder, or decoder, that many small modalities share."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from skmm import MultimodalVAE
from skmm._torch import isolated_rng
from skmm.networks.dense import SharedNetwork

NAN = np.nan
N_PIXELS = 6
PIXELS = {f"pixel{j}": [j] for j in range(N_PIXELS)}


def make_values(n_rows=60, n_columns=N_PIXELS, seed=0):
    rng = np.random.RandomState(seed)
    values = rng.normal(size=(n_rows, 2)) @ rng.normal(size=(2, n_columns)) + 0.3 * rng.normal(
        size=(n_rows, n_columns)
    )
    values[rng.uniform(size=values.shape) < 0.3] = NAN
    values[0] = NAN
    return values


def make(modalities=PIXELS, **parameters):
    settings = {"encoders": "shared", "decoders": "shared", "hidden_layer_sizes": (8,), "max_iter": 4}
    return MultimodalVAE(2, modalities=modalities, n_draws=16, random_state=0, **(settings | parameters))


@pytest.fixture(scope="module")
def fitted():
    return make().fit(make_values())


@pytest.mark.parametrize("role", ["encoders", "decoders"])
class TestSharing:
    def test_all_modalities_share_one_network(self, fitted, role):
        networks = getattr(fitted.module_, role)
        assert len(networks) == N_PIXELS
        assert len({id(network.network) for network in networks}) == 1
        assert len({tuple(network.embedding.tolist()) for network in networks}) == N_PIXELS

    def test_the_embedding_says_which_modality_it_is(self, fitted, role):
        for network in getattr(fitted.module_, role):
            n_in = network.network.n_in - len(network.embedding)
            x = torch.linspace(-1, 1, 5)[:, None].expand(-1, n_in)
            rows = [torch.cat([row, network.embedding.tanh()]) for row in x]
            own = x @ network.linear.weight.T + network.linear.bias
            expected = own + torch.stack([network.network(row[None])[0] for row in rows])
            torch.testing.assert_close(network(x), expected)

    def test_another_modality_costs_an_embedding_and_a_linear_path(self, role):
        counts = []
        for n in (N_PIXELS, N_PIXELS + 4):
            model = make({f"p{j}": [j] for j in range(n)}, max_iter=1).fit(make_values(n_columns=n))
            counts.append(sum(p.numel() for p in getattr(model.module_, role).parameters()))
        linear = model.module_.encoders[0].linear if role == "encoders" else model.module_.decoders[0].linear
        assert counts[1] - counts[0] == 4 * (8 + linear.weight.numel() + linear.bias.numel())

    def test_everything_is_trained(self, fitted, role):
        still = make(learning_rate_init=1e-30, max_iter=1).fit(make_values())
        for after, before in zip(
            getattr(fitted.module_, role).parameters(), getattr(still.module_, role).parameters(), strict=True
        ):
            assert (after != before).any()

    def test_some_modalities_by_name(self, role):
        modalities = {"a": [0], "b": [1], "rest": [2, 3, 4, 5]}
        other = "decoders" if role == "encoders" else "encoders"
        model = make(modalities, **{role: {"a": "shared", "b": "shared"}, other: None}).fit(make_values())
        a, b, rest = getattr(model.module_, role)
        assert a.network is b.network
        assert not isinstance(rest, SharedNetwork)
        assert not any(isinstance(network, SharedNetwork) for network in getattr(model.module_, other))

    @pytest.mark.parametrize("likelihood", ["normal", {"b": "categorical"}])
    def test_modalities_of_other_columns(self, role, likelihood):
        X = np.nan_to_num(make_values())
        X[:, 1] = np.arange(60) % 3
        modalities = {"a": [0], "b": [1] if isinstance(likelihood, dict) else [1, 2], "c": [3]}
        X = X[:, np.sort(np.concatenate(list(modalities.values())))]
        modalities["c"] = [X.shape[1] - 1]
        other = "decoders" if role == "encoders" else "encoders"
        model = make(modalities, likelihood=likelihood, **{other: None})
        with pytest.raises(
            ValueError, match=f"{role} 'shared' takes modalities of the same columns, but 'b'"
        ):
            model.fit(X)

    def test_other_words(self, role):
        with pytest.raises(ValueError, match=f"The '{role}' parameter of MultimodalVAE must be"):
            make(**{role: "common"}).fit(make_values())
        with pytest.raises(TypeError, match="must be a torch Module or a callable"):
            make(**{role: {"pixel0": "common"}}).fit(make_values())


def test_copies_still_share(fitted):
    X = make_values(seed=1)
    for other in (
        pickle.loads(pickle.dumps(fitted)),
        copy.deepcopy(fitted),
        clone(fitted).fit(make_values()),
    ):
        np.testing.assert_array_equal(other.transform(X), fitted.transform(X))
        assert len({id(network.network) for network in other.module_.encoders}) == 1


def test_warm_start_goes_on_from_the_weights():
    model = make(warm_start=True, learning_rate_init=1e-30, early_stopping=False).fit(make_values())
    before = {name: value + 0.5 for name, value in model.module_.state_dict().items() if "network" in name}
    model.module_.load_state_dict(model.module_.state_dict() | before)
    for name, value in model.fit(make_values()).module_.state_dict().items():
        if "network" in name:
            torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_what_is_missing_has_no_influence(fitted):
    X = make_values(seed=1)
    loc, scale = fitted.posterior_moments(np.full((1, N_PIXELS), NAN))
    np.testing.assert_array_equal(loc, 0.0)
    np.testing.assert_array_equal(scale, 1.0)
    blocks = fitted.layout_.read(X)
    spoilt = type(blocks)(
        torch.where(blocks.joint_observed, blocks.joint, 1e6),
        blocks.joint_observed,
        blocks.present,
        blocks.sizes,
    )
    with torch.no_grad():
        first, second = (fitted.module_.posterior(rows).mean for rows in (blocks, spoilt))
    torch.testing.assert_close(second, first, rtol=0, atol=0)


def test_users_networks_beside_shared_ones():
    with isolated_rng(0):
        encoders = dict.fromkeys(["pixel0", "pixel1"], "shared") | {"pixel2": nn.Linear(1, 3)}
    model = make(encoders=encoders, decoders=None).fit(make_values())
    assert np.isfinite(model.transform(make_values())).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters", [{}, {"encoders": None, "fusion": "set"}], ids=["shared encoder", "set encoder"]
)
def test_sixty_four_pixels_complete_one_another(parameters):
    """A plane wave of random phase: of 64 pixels, half missing, the others say what they are."""
    rng = np.random.RandomState(0)
    row, column = np.divmod(np.arange(64), 8)
    phase = rng.uniform(0, 2 * np.pi, size=(600, 1))
    truth = np.cos(phase + 0.5 * row + 0.8 * column) + 0.1 * rng.normal(size=(600, 64))
    X = np.where(rng.uniform(size=truth.shape) < 0.5, NAN, truth)
    model = make(
        {f"pixel{j}": [j] for j in range(64)},
        **(parameters | {"hidden_layer_sizes": (16,), "max_iter": 20, "completion": "network"}),
        early_stopping=False,
    ).fit(X[:500])
    missing = np.isnan(X[500:])
    error = (model.predict(X[500:]) - truth[500:])[missing]
    assert np.sqrt(np.mean(error**2)) < 0.5 * truth.std()
