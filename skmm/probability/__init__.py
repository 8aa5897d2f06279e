"""Densities: likelihoods, posteriors, priors, and the rules that fuse experts."""
