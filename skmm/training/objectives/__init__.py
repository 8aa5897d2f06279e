"""Objectives: what training maximises.

An objective is called as ``objective(network, inputs, targets, beta) -> Terms``. It sees latent points and
distributions, never a particular fusion rule, and never a particular prior. ``inputs`` are what the encoders
see of a batch, ``targets`` all that was really observed. Where its attribute ``importance_weighted`` is true,
it makes the posterior a proposal, whose points have to be weighted afterwards. What it cannot work on, such
as a posterior of another kind, it refuses with a ValueError: every objective is tried before training.

An objective is a scikit-learn ``BaseEstimator``, so that its parameters can be searched, as in
``objective__n_draws``. To add one, write such a class in the file of its kind and name it in ``OBJECTIVES``.
"""
