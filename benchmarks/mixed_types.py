"""How near a fit comes to the exact posterior predictive of flags, categories, ordered categories and counts.

Two latent variables are behind four modalities: flags, categories, ordered categories, and counts. The exact
predictive given any of the other modalities follows by quadrature. 30 % of the modalities are removed from
the training rows; each is hidden in turn from the test rows. Printed are, for each, the log-loss per entry of
the model, of the exact predictive and of the marginal one, and the share of the way from the marginal to
the exact that the model has gone. Run ``python -m benchmarks.mixed_types``.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
from scipy import special, stats

import skmm
from skmm.datasets import remove_modalities

N_LATENT = 2
N_NODES = 40  # of the quadrature, per latent variable
SIZES = {"flags": 6, "choices": 4, "grades": 4, "counts": 6}
N_CATEGORIES = 4


class Truth:
    """The model that the data come from, and what it predicts.

    Parameters
    ----------
    seed : int
        Chooses the model and, call by call, the data.
    """

    def __init__(self, seed: int) -> None:
        self.rng = rng = np.random.RandomState(seed)
        self.offset = {name: rng.normal(size=(size, 1)) for name, size in SIZES.items()}
        self.offset["choices"] = rng.normal(size=(SIZES["choices"], N_CATEGORIES))
        self.loading = {name: 1.5 * rng.normal(size=(size, N_LATENT)) for name, size in SIZES.items()}
        self.loading["choices"] = 1.5 * rng.normal(size=(SIZES["choices"], N_CATEGORIES, N_LATENT))
        self.loading["counts"] /= 3
        node, weight = np.polynomial.hermite_e.hermegauss(N_NODES)
        self.nodes = np.stack(np.meshgrid(node, node), axis=-1).reshape(-1, N_LATENT)
        self.log_prior = np.log(np.outer(weight, weight).ravel() / weight.sum() ** 2)

    def probabilities(self, name: str, z: np.ndarray) -> np.ndarray:
        """Probability of each category at latent points, (n, n_columns, n_categories); rates of counts."""
        if name == "choices":
            scores = self.offset[name] + np.einsum("ckl,nl->nck", self.loading[name], z)
            return special.softmax(scores, axis=-1)
        score = z @ self.loading[name].T + self.offset[name].T  # (n, n_columns)
        if name == "flags":
            p = special.expit(score)
            return np.stack([1 - p, p], axis=-1)
        if name == "grades":
            cut = np.array([-np.inf, -1.5, 0.0, 1.5, np.inf])
            return np.diff(special.expit(cut - score[..., None]), axis=-1)
        return np.exp(1 + score / 2)[..., None]

    def draw(self, n: int) -> pd.DataFrame:
        """Rows, with columns (modality, feature)."""
        z = self.rng.normal(size=(n, N_LATENT))
        tables = {}
        for name in SIZES:
            p = self.probabilities(name, z)
            if name == "counts":
                tables[name] = pd.DataFrame(self.rng.poisson(p[..., 0])).astype("Int64")
                continue
            codes = (self.rng.uniform(size=(*p.shape[:2], 1)) > p.cumsum(-1)[..., :-1]).sum(-1)
            if name == "flags":
                tables[name] = pd.DataFrame(codes == 1).astype("boolean")
            else:
                labels = pd.CategoricalDtype(list("abcd"), ordered=name == "grades")
                tables[name] = pd.DataFrame(np.array(list("abcd"))[codes]).astype(labels)
        return skmm.stack_modalities(tables)

    def log_likelihood(self, X: pd.DataFrame, name: str) -> np.ndarray:
        """Of the entries of a modality at every node, (n, n_columns, n_nodes)."""
        codes, p = codes_of(X, name), self.probabilities(name, self.nodes)
        if name == "counts":
            return stats.poisson.logpmf(codes[..., None], p[..., 0].T)
        columns = np.arange(SIZES[name])
        return np.log(np.maximum(p.transpose(1, 2, 0)[columns, codes], 1e-300))

    def log_posterior(self, X: pd.DataFrame, names: list[str]) -> np.ndarray:
        """Logarithms of the weights of the nodes given some modalities, (n, n_nodes)."""
        log_weight = self.log_prior + sum(self.log_likelihood(X, name).sum(1) for name in names)
        return special.log_softmax(log_weight, axis=1)

    def log_loss(self, X: pd.DataFrame, name: str, given: list[str]) -> np.ndarray:
        """Of each entry of a modality given others, (n, n_columns)."""
        log_weight = self.log_posterior(X, given)
        return -special.logsumexp(self.log_likelihood(X, name) + log_weight[:, None], axis=-1)

    def score(self, X: pd.DataFrame) -> float:
        """Mean log-likelihood of complete rows."""
        total = self.log_prior + sum(self.log_likelihood(X, name).sum(1) for name in SIZES)
        return float(special.logsumexp(total, axis=1).mean())


def codes_of(X: pd.DataFrame, name: str) -> np.ndarray:
    """Entries of a modality as whole numbers, (n, n_columns)."""
    columns = [column for _, column in X[name].items()]
    if name in ("choices", "grades"):
        return np.stack([column.cat.codes for column in columns], axis=1)
    return np.stack([column.to_numpy(dtype=int) for column in columns], axis=1)


def model_log_loss(vae: skmm.MultimodalVAE, X: pd.DataFrame, name: str, n_draws: int = 1000) -> np.ndarray:
    """Of each entry of a hidden modality given the others, (n, n_columns); counts by their draws."""
    hidden, codes = skmm.hide(X, name), codes_of(X, name)
    if name != "counts":
        table = vae.predict_category_proba(hidden)[name].to_numpy()
        p = table.reshape(len(X), SIZES[name], -1)
        return -np.log(np.take_along_axis(p, codes[..., None], axis=2)[..., 0])
    draws = vae.sample(n_draws, given=hidden, random_state=0)[name].to_numpy(dtype=int)
    draws = draws.reshape(n_draws, len(X), -1)
    # the marginal frequency, at the weight of one draw, is there for counts that were never drawn
    share = ((draws == codes).sum(0) + marginal(X, name)) / (n_draws + 1)
    return -np.log(share)


def marginal(X: pd.DataFrame, name: str) -> np.ndarray:
    """Frequency of each entry in its column, (n, n_columns)."""
    codes = codes_of(X, name)
    return np.stack([np.bincount(column)[column] / len(column) for column in codes.T], axis=1)


def recovery(vae: skmm.MultimodalVAE, truth: Truth, X: pd.DataFrame) -> pd.DataFrame:
    """Log-losses per entry of each modality, hidden in turn."""
    rows = {}
    for name in SIZES:
        exact = truth.log_loss(X, name, [other for other in SIZES if other != name]).mean()
        model, base = model_log_loss(vae, X, name).mean(), -np.log(marginal(X, name)).mean()
        rows[name] = {
            "model": model,
            "exact": exact,
            "marginal": base,
            "share": (base - model) / (base - exact),
        }
    return pd.DataFrame(rows).T


def main() -> None:
    """Fit and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-samples", type=int, default=3000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--betas", type=float, nargs="+", default=[0.5, 1.0], help="0.5 is the default")
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        for beta in arguments.betas:
            truth = Truth(seed)
            train, test = truth.draw(arguments.n_samples), truth.draw(1000)
            train = remove_modalities(train, 0.3, random_state=seed)
            start = time.perf_counter()
            vae = skmm.MultimodalVAE(likelihood={"counts": "poisson"}, beta=beta, random_state=seed).fit(
                train
            )
            print(
                f"seed {seed}, beta {beta}: fit {time.perf_counter() - start:.0f} s, {vae.n_iter_} epochs; "
                f"log-likelihood {vae.score(test):.2f}, exact {truth.score(test):.2f}"
            )
            print(recovery(vae, truth, test).round(3).to_string(), flush=True)


if __name__ == "__main__":
    main()
