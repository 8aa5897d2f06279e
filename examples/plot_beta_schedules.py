"""
Beta, its schedules, and posterior collapse
===========================================

How much the posterior of the latent variables may cost is the one parameter to know of a variational
autoencoder. Here it goes from far too small to far too large on handwritten digits of two modalities, the
upper and the lower half. Then three schedules are given the same last value.
"""

# %%
# The data
# --------
from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

import skmm
from skmm.datasets import load_digit_views

X, y = load_digit_views("halves", return_X_y=True)
X_train, X_test, _, y_test = train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)
fixed = {"max_iter": 30, "random_state": 0}  # short training: enough to see what beta does


# %%
# What to look at
# ---------------
# The divergence of each latent variable's posterior from its prior, averaged over test images, says how
# much the variable tells, in nats. A variable that tells nothing has *collapsed*: its posterior is the
# prior, whatever the image.
def divergences(vae: skmm.MultimodalVAE) -> np.ndarray:
    """Divergence of each latent variable, the largest first."""
    loc, scale = vae.posterior_moments(X_test)
    return np.sort((0.5 * (loc**2 + scale**2 - 1) - np.log(scale)).mean(axis=0))[::-1]


def half_error(vae: skmm.MultimodalVAE) -> float:
    """Root mean squared error of a hidden half completed from the other, as a share of full ink."""
    squares = [
        np.square((vae.predict(skmm.hide(X_test, half))[half] - X_test[half]).to_numpy() / 16)
        for half in ("top", "bottom")
    ]
    return float(np.sqrt(np.mean(squares)))


def is_active(divergence: np.ndarray) -> np.ndarray:
    """Tell which variables say something: a twentieth of a nat or more."""
    return divergence > 0.05


# %%
# From too small to too large
# ---------------------------
# Ten latent variables each time. Test images only.
betas = [0.1, 0.5, 1.0, 2.0, 3.0, 8.0]
models = {beta: skmm.MultimodalVAE(n_components=10, beta=beta, **fixed).fit(X_train) for beta in betas}
table = pd.DataFrame(
    {
        "active variables": {beta: int(is_active(divergences(vae)).sum()) for beta, vae in models.items()},
        "nats in all": {beta: divergences(vae).sum() for beta, vae in models.items()},
        "error of a hidden half": {beta: half_error(vae) for beta, vae in models.items()},
    }
).rename_axis("beta")
print(table.to_string(float_format="{:.3f}".format))
means = np.sqrt(np.mean(np.square((X_test - X_train.mean()).to_numpy() / 16)))
print(f"error of the pixels' means: {means:.3f}")

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", width_ratios=[3, 2])
shown = np.stack([divergences(models[beta]) for beta in betas])
picture = left.imshow(shown, cmap="viridis", aspect="auto", vmin=0)
for row, column in np.ndindex(shown.shape):
    value = shown[row, column]
    light = value < 0.6 * shown.max()
    left.text(column, row, f"{value:.1f}", ha="center", va="center", color="w" if light else "k", fontsize=8)
left.set(
    yticks=range(len(betas)),
    yticklabels=betas,
    xticks=range(10),
    xticklabels=range(1, 11),
    xlabel="latent variable, in order of what it says",
    ylabel="beta",
    title="Divergence of each latent variable (nats)",
)
figure.colorbar(picture, ax=left)
right.plot(betas, table["error of a hidden half"], "o-", color="#1f5f8b")
right.axhline(means, color="grey", linestyle=":")
right.annotate(
    "the pixels' means", (betas[0], means), xytext=(0, -12), textcoords="offset points", color="grey"
)
right.set(xscale="log", xticks=betas, xticklabels=betas, xlabel="beta", title="Error of a hidden half")
right.minorticks_off()
plt.show()

# %%
# Each row of the picture is one model. From the top down, less and less is said, by fewer and fewer
# variables; in the last row all have collapsed, and completions are no better than the means of the pixels.
# Between 0.1 and 1 the error hardly moves: what a large beta removes first is detail that the other half
# does not tell anyway.

# %%
# The latent space
# ----------------
# With two variables, it can be drawn. Each point is the posterior mean of a test image, its colour the
# digit, of which the model knows nothing. The circles hold 39 %, 86 % and 99 % of the prior.
figure, axes = plt.subplots(1, 3, figsize=(11, 4), layout="constrained")
for axis, beta in zip(axes, (0.01, 1.0, 8.0), strict=True):
    vae = skmm.MultimodalVAE(n_components=2, beta=beta, **fixed).fit(X_train)
    points = vae.transform(X_test)
    digits = axis.scatter(*points.T, c=y_test, cmap="tab10", vmin=-0.5, vmax=9.5, s=10)
    for radius in (1, 2, 3):
        axis.add_patch(plt.Circle((0, 0), radius, fill=False, color="grey", linewidth=0.8))
    axis.set(title=f"beta = {beta:g}", aspect="equal", xlim=(-5, 5), ylim=(-5, 5))
figure.colorbar(digits, ax=axes, ticks=range(10), label="digit")
plt.show()

# %%
# On the left, posteriors cost nearly nothing. They go where they like, many of them well outside the prior,
# so that draws of the prior miss them. In the middle, all posteriors together, the *aggregate posterior*,
# come closer to it. On the right, all of them *are* the prior, with every image at its mean: collapse.

# %%
# Three ways to the same beta
# ---------------------------
# A beta of 3 is too large for these data. How much of the latent space survives it depends on how training
# gets there. A constant weighs down variables before they have found anything to say. The linear schedule
# starts at 0 and is at 3 after half of the training; the cyclical one starts again from 0 three more times.
schedules = {
    "constant": skmm.ConstantSchedule(3.0),
    "linear": skmm.LinearSchedule(stop=3.0),
    "cyclical": skmm.CyclicalSchedule(stop=3.0),
}
figure, axes = plt.subplots(2, 3, figsize=(10, 4.6), layout="constrained", sharey="row")
progress = np.linspace(0, 1, 400)
for (name, schedule), (above, below) in zip(schedules.items(), axes.T, strict=True):
    vae = models[3.0] if name == "constant" else skmm.MultimodalVAE(10, beta=schedule, **fixed).fit(X_train)
    said = divergences(vae)
    print(
        f"{name:>8}: {is_active(said).sum()} active variables, error of a hidden half {half_error(vae):.3f}"
    )
    above.plot(progress, [schedule(p) for p in progress], color="#b3541e")
    above.set(title=name, xlabel="progress of training")
    below.bar(range(1, 11), said, color=np.where(is_active(said), "#1f5f8b", "#c0c0c0"))
    below.set(xlabel="latent variable", xticks=range(1, 11))
axes[0, 0].set_ylabel("beta")
axes[1, 0].set_ylabel("divergence (nats)")
plt.show()

# %%
# Blue bars are active variables. The schedules keep more of them, and their completions are a little
# better. None of them is as good as a smaller beta from the start: a schedule helps against a collapse that
# comes from the beginning of training, not against a weight that is too large at its end.
