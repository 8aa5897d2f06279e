"""Models of the literature by name: the parameters of MultimodalVAE that make them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from skmm.training.objectives.bounds import IWAE, MMVAE
from skmm.training.objectives.coordinated import CRMVAE, JMVAE, MVTCAE, TELBO, VAEVAE
from skmm.training.objectives.mmjsd import MMJSD
from skmm.training.objectives.mmvm import MMVM
from skmm.training.objectives.subsets import MVAE, PowersetELBO


@dataclass(frozen=True)
class Recipe:
    """A model of the literature.

    Parameters
    ----------
    paper : str
    parameters : dict
        Of :class:`skmm.MultimodalVAE`, those of which the model is made.
    maximises : str
        What training maximises.
    use, avoid : str
        When to take it, and when not.
    exact : str
        Where it differs from the paper; "as published" where it does not.
    """

    paper: str
    parameters: dict[str, Any]
    maximises: str
    use: str
    avoid: str
    exact: str


# what the library adds of its own, and no paper has
WITHOUT_ADDITIONS = {"beta": 1.0, "modality_dropout": 0.0, "cell_dropout": 0.0, "completion": "network"}
# an objective that asks whole rows alone for all modalities, or one encoder of all subsets that sees few of
# them, does not learn what some modalities tell of another: on digits in three modalities, completions were
# hardly better than the mean of all rows, or worse
ASKED_IN_PART = {"modality_dropout": 0.5}
# one encoder of all modalities and subsets: at the default rate, three times as high, it learned less of
# digits in three modalities
ONE_ENCODER = {"fusion": "joint", "learning_rate_init": 0.003}
HIDDEN = "modalities hidden at random"


def recipe(name: str) -> dict[str, Any]:
    """Parameters of :class:`skmm.MultimodalVAE` that make a model of the literature.

    The objective, fusion, posterior and prior are the paper's, as far as the table in the user guide says;
    networks, optimiser and number of steps are the library's defaults, but for a lower learning rate where
    one encoder sees all modalities. What the library adds of its own is off: cell dropout, ``beta`` below 1,
    and the models that complete beside the network. Modality dropout is on, at 0.5, where no modality would
    be asked for another by itself, or hardly ever. All of it can be set again.

    Parameters
    ----------
    name : str
        A name in ``skmm.recipes.RECIPES``.

    Returns
    -------
    dict
        New with every call.

    Raises
    ------
    ValueError
        If there is no such recipe.

    Examples
    --------
    >>> import skmm
    >>> vae = skmm.MultimodalVAE(n_components=20, **skmm.recipe("mvae"))
    >>> vae.fusion, vae.objective
    ('poe', MVAE())
    """
    if name not in RECIPES:
        raise ValueError(f"There is no recipe {name!r}; there are {', '.join(RECIPES)}.")
    return copy.deepcopy(WITHOUT_ADDITIONS | RECIPES[name].parameters)


RECIPES: dict[str, Recipe] = {
    "mvae": Recipe(
        "Wu and Goodman (2018), Multimodal Generative Models for Scalable Weakly-Supervised Learning",
        {"fusion": "poe", "objective": MVAE()},
        "ELBO of all modalities, of each alone and of random subsets",
        "modalities that each know a part of what there is to know",
        "one modality is far better modelled than the others: its expert drowns them",
        "every subset is asked for all that was observed, not for itself alone; their mean, not their sum",
    ),
    "powerset": Recipe(
        "the sum over all subsets; Sutter, Daunhawer and Vogt (2021) have it for a mixture",
        {"fusion": "poe", "objective": PowersetELBO()},
        "mean of the ELBOs of all subsets",
        "few modalities, any of which may be missing later",
        "more than about six modalities: subsets are then drawn at random",
        "no single paper; the scheme of which MVAE takes a sample",
    ),
    "mmvae": Recipe(
        "Shi et al. (2019), Variational Mixture-of-Experts Autoencoders",
        {"fusion": "moe", "objective": MMVAE(gradient="dreg"), "posterior": "laplace", "prior": "laplace"},
        "importance-weighted bound, stratified over the experts",
        "modalities that share one thing, such as a class, and one is completed from another",
        "several modalities have to be put together: none adds to what another says",
        "as published, but for a prior whose scales are not learned",
    ),
    "mopoe": Recipe(
        "Sutter, Daunhawer and Vogt (2021), Generalized Multimodal ELBO",
        {"fusion": "mopoe", "objective": "elbo"},
        "ELBO of a mixture of the products of all subsets",
        "any subset may be given, and all should agree",
        "many modalities: subsets are then drawn at random",
        "parts are drawn at random in each step",
    ),
    "mmvm": Recipe(
        "Sutter et al. (2024), Unity by Diversity: Improved Representation Learning in Multimodal VAEs",
        {"fusion": "moe", "objective": MMVM()},
        "likelihood given each modality, posteriors drawn towards their mixture",
        "features of each modality that keep what it alone knows",
        "new rows are to be drawn, or wide ones are few: no prior keeps it from learning rows by heart",
        "each modality is asked for all, not for itself alone; each posterior is the prior times an expert",
    ),
    "mmjsd": Recipe(
        "Sutter, Daunhawer and Vogt (2020), Multimodal Learning Utilizing Jensen-Shannon-Divergence",
        {"fusion": "moe", "objective": MMJSD()},
        "likelihood less the Jensen-Shannon divergence of experts and prior",
        "as for mmvae, with posteriors that are drawn together",
        "likelihoods are to be compared: it is no bound of them here",
        "the paper's dynamic prior is the geometric mean of experts and prior",
    ),
    "mvtcae": Recipe(
        "Hwang et al. (2021), Multi-View Representation Learning via Total Correlation Objective",
        {"fusion": "poe", "objective": MVTCAE(), **ASKED_IN_PART},
        "total correlation that the latent variables explain",
        "many modalities of the same thing; completion from few of them",
        "what one modality alone knows matters",
        f"the prior is an expert of every product; {HIDDEN}",
    ),
    "crmvae": Recipe(
        "Suzuki and Matsuo (2023), Mitigating the Limitations of Multimodal VAEs",
        {"fusion": "poe", "objective": CRMVAE(), **ASKED_IN_PART},
        "reconstructions from all and from each modality, posteriors coordinated",
        "completion from any single modality",
        "likelihoods are to be compared: it is no bound of them",
        f"the prior is an expert of every product; {HIDDEN}",
    ),
    "jmvae": Recipe(
        "Suzuki, Nakayama and Matsuo (2016), Joint Multimodal Learning with Deep Generative Models",
        {"objective": JMVAE(), **ONE_ENCODER, **ASKED_IN_PART},
        "ELBO of all modalities less divergences from the posteriors of each",
        "few modalities that tell something only together",
        "many patterns of missing modalities: one encoder has to learn them all",
        f"one encoder, which sees what is missing, instead of one for each subset; {HIDDEN}",
    ),
    "telbo": Recipe(
        "Vedantam et al. (2018), Generative Models of Visually Grounded Imagination",
        {"objective": TELBO(), **ONE_ENCODER, **ASKED_IN_PART},
        "ELBO of all modalities, and of each by itself",
        "an image and its attributes",
        "completion of one modality from another is the aim: the bounds do not ask for it",
        f"one encoder, which sees what is missing, instead of one for each subset; {HIDDEN}",
    ),
    "vaevae": Recipe(
        "Wu and Goodman (2019), Multimodal Generative Models for Compositional Representation Learning",
        {"objective": VAEVAE(), **ONE_ENCODER, **ASKED_IN_PART},
        "bounds of each modality, and of the others given it",
        "two modalities, few rows of which have both",
        "more than two or three modalities",
        f"one encoder, which sees what is missing, instead of one for each subset; {HIDDEN}",
    ),
    "dmvae": Recipe(
        "Lee and Pavlovic (2021), Private-Shared Disentangled Multimodal VAE",
        {"fusion": "poe", "objective": MVAE(), "n_private": 5},
        "ELBO of all modalities, of each alone and of random subsets, with private latent variables",
        "features of what is shared, free of each modality's style",
        "little is shared: private latent variables can take it all",
        "one weight of the divergence for shared and private latent variables",
    ),
    "mmvaeplus": Recipe(
        "Palumbo, Daunhawer and Vogt (2023), MMVAE+: Enhancing the Generative Quality of Multimodal VAEs",
        {
            "fusion": "moe",
            "objective": MMVAE(gradient="dreg"),
            "posterior": "laplace",
            "prior": "laplace",
            "n_private": 5,
        },
        "as mmvae, with private latent variables drawn from the prior where another modality is completed",
        "as mmvae, where modalities have styles of their own",
        "several modalities have to be put together",
        "the private latent variables of other modalities have the prior, not one learned for this",
    ),
    "svae": Recipe(
        "Davidson et al. (2018), Hyperspherical Variational Auto-Encoders; several modalities by products",
        {"fusion": "poe", "objective": MVAE(), "posterior": "vmf", "prior": "sphere"},
        "ELBOs as of mvae, of latent variables on spheres",
        "directions, cycles, clusters: latent variables without a centre",
        "sizes matter, not only directions",
        "spheres of a few numbers each; a product of experts is exact, and nothing observed gives the prior",
    ),
    "miwae": Recipe(
        "Mattei and Frellsen (2019), MIWAE: Deep Generative Modelling and Imputation of Incomplete Data Sets",
        {"objective": IWAE(20), "likelihood": "student_t", **ONE_ENCODER, **ASKED_IN_PART},
        "importance-weighted bound of what is observed",
        "single cells are missing, several explanations of one row",
        "time matters: it takes many latent points of every row",
        f"the encoder also sees what is missing; for numbers only; {HIDDEN}",
    ),
    "partial_vae": Recipe(
        "Ma et al. (2019), EDDI: Efficient Dynamic Discovery of High-Value Information with Partial VAE",
        {"fusion": "set", "objective": "elbo", "cell_dropout": 0.3, **ASKED_IN_PART},
        "ELBO, inputs hidden at random",
        "any cells of a wide table may be missing, in patterns never seen",
        "modalities are wide, as images are: every column is embedded, which takes longest of all",
        f"a sum over embedded features, as published; {HIDDEN}",
    ),
    "helvae": Recipe(
        "Qiu et al. (2025), Multimodal VAEs by Hellinger pooling",
        {"fusion": "hellinger", "objective": "elbo", **ASKED_IN_PART},
        "ELBO, experts pooled by the means of their square roots",
        "a compromise between product and mixture: no expert drowns the others",
        "modalities that each know a part: uncertainty does not shrink with each more",
        f"matched moments, in closed form; {HIDDEN}",
    ),
}
