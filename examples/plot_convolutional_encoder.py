"""
A convolutional encoder and decoder for images
==============================================

Modalities may have networks of their own. Here one modality is an image in which a digit may stand
anywhere, and the other is a note that says which digit it is and where it stands. The default network sees
144 columns in no particular order; a convolutional one knows that they are an image.
"""

# %%
# Images and notes
# ----------------
# Each of scikit-learn's digits is put at a random place of a canvas of 12 by 12 pixels. The note holds a
# category and two numbers. A fifth of the images, and of the notes, is removed.
from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import skmm
from skmm.datasets import remove_modalities

rng = np.random.default_rng(0)
digits = load_digits()
SIDE = 12
places = rng.integers(0, SIDE - 8 + 1, size=(len(digits.images), 2))
canvas = np.zeros((len(digits.images), SIDE, SIDE), dtype=np.float32)
for image, digit, (down, right) in zip(canvas, digits.images, places, strict=True):
    image[down : down + 8, right : right + 8] = digit / 16
notes = pd.DataFrame(
    {
        "digit": pd.Categorical(digits.target),
        "down": places[:, 0].astype(float),
        "right": places[:, 1].astype(float),
    }
)
X = skmm.stack_modalities({"image": canvas.reshape(-1, SIDE * SIDE), "note": notes})
X_train, X_test = train_test_split(X, test_size=0.3, random_state=0, stratify=digits.target)
X_seen = remove_modalities(X_train, 0.2, random_state=0)


# %%
# The networks
# ------------
# For an encoder, a Module is enough: it is given rows of pixels, and a linear head is put behind it. A
# decoder that ends in pixels needs none, so a function makes the whole of it. Both are defined by name, not
# as lambdas: the estimator can be pickled.
def convolutions() -> nn.Module:
    """Rows of pixels to 32 maps of 3 by 3."""
    return nn.Sequential(
        nn.Unflatten(1, (1, SIDE, SIDE)),
        nn.Conv2d(1, 16, 4, stride=2, padding=1),
        nn.SiLU(),
        nn.Conv2d(16, 32, 4, stride=2, padding=1),
        nn.SiLU(),
    )


def draw_image(n_in: int, n_out: int) -> nn.Module:
    """Latent variables to rows of pixels, the way back."""
    return nn.Sequential(
        nn.Linear(n_in, 32 * 3 * 3),
        nn.SiLU(),
        nn.Unflatten(1, (32, 3, 3)),
        nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1),
        nn.SiLU(),
        nn.ConvTranspose2d(16, 1, 4, stride=2, padding=1),
        nn.Flatten(),
    )


# three columns of notes against 144 of pixels: a weight gives them a say
parameters = {"n_components": 16, "modality_weights": {"note": 20.0}, "max_iter": 50, "random_state": 0}
models = {
    "default": skmm.MultimodalVAE(**parameters),
    "convolutional": skmm.MultimodalVAE(
        **parameters, encoders={"image": convolutions()}, decoders={"image": draw_image}
    ),
}
for name, vae in models.items():
    vae.fit(X_seen)
    n_weights = sum(weights.numel() for weights in vae.module_.parameters())
    print(f"{name}: {n_weights} weights, {vae.n_iter_} epochs")

# %%
# What each makes of one modality given the other
# -----------------------------------------------
# From the image, the note: which digit, and where. From the note, the image.
answers = {}
for name, vae in models.items():
    note = vae.predict(skmm.keep(X_test, "image"))["note"]
    image = vae.predict(skmm.keep(X_test, "note"))["image"]
    off = (note[["down", "right"]] - X_test["note"][["down", "right"]]).to_numpy(float)
    answers[name] = {
        "digit read from the image, share right": np.mean(note["digit"] == X_test["note", "digit"]),
        "place read from the image, error in pixels": np.sqrt(np.mean(off**2)),
        "image from the note, error": np.sqrt(np.mean((image - X_test["image"]).to_numpy() ** 2)),
    }
print(pd.DataFrame(answers).to_string(float_format="{:.3f}".format))

# %%
# The first line is no competition for a classifier, which would be trained for nothing else: here it is one
# of many questions to the same model.

# %%
# Images to order
# ---------------
# Seven notes, and what the two models expect to see. The first row is the average of the training images.
orders = pd.DataFrame(
    {"digit": [0, 3, 6, 9, 2, 4, 8], "down": [0, 0, 0, 2, 4, 4, 4], "right": [0, 2, 4, 2, 0, 2, 4]}
)
blank = pd.DataFrame(np.nan, index=orders.index, columns=range(SIDE * SIDE))
asked = skmm.stack_modalities(
    {
        "image": blank,
        "note": orders.astype({"digit": pd.CategoricalDtype(range(10)), "down": float, "right": float}),
    }
)
shown = {
    "mean image": np.tile(X_train["image"].mean().to_numpy(), (len(orders), 1)),
    **{name: vae.predict(asked)["image"].to_numpy() for name, vae in models.items()},
    "a draw": models["convolutional"].sample(1, given=asked, random_state=0)["image"].to_numpy(),
}
figure, axes = plt.subplots(len(shown), len(orders), figsize=(9, 5.6), layout="constrained")
for axis_row, (title, images) in zip(axes, shown.items(), strict=True):
    for axis, image in zip(axis_row, images.astype(float), strict=True):
        axis.imshow(image.reshape(SIDE, SIDE), cmap="gray_r", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
    axis_row[0].set_ylabel(title, rotation=0, ha="right", va="center")
for axis, (_, order) in zip(axes[0], orders.iterrows(), strict=True):
    axis.set_title(f"a {order['digit']}, {order['down']} down,\n{order['right']} right", fontsize=9)
plt.show()

# %%
# An expected image is the average over all ways to write that digit there. A draw of these models adds
# noise to each pixel by itself, which is not what images differ by; what varies from draw to draw in shape
# comes from the latent variables.
