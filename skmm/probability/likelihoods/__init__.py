"""Likelihoods: what a decoder's output says about the values of a modality.

A likelihood is a module with

``kinds``
    the types of column it suits, out of "continuous" (any number), "binary" (flags), "category" and "ordered"
    (codes 0 to K - 1 of categories without and with an order),
``scaling``
    what is done to its columns on the way in: "standard" (centred and scaled), "scale" (divided by their
    standard deviation: positive values stay positive) or None (nothing: counts, flags, codes),
``takes_categories``
    whether it is made for ``n_categories``, the number of categories of each column, instead of for
    ``n_features``,
``n_raw``, ``n_inputs``, ``n_statistics``
    how many numbers per row it wants from the decoder, gives to the encoder, and has moments of,
``input_sizes``
    how many of the ``n_inputs`` belong to each column, in the columns' order,
``width``
    about how many floats one row takes, for bounding the memory of a pass,
``start(values, observed)``
    called once before training, without gradients, with the training rows: makes raw = 0 stand for about
    their marginal distribution, so that every model starts there,
``features(values, observed)``
    what the encoder sees of the values, (..., n_inputs), zero where nothing was observed,
``check(values, observed, modality, labels)``
    raises ValueError for values, in the user's units, outside its support, naming modality and column,
``forward(raw)``
    a distribution, see ``contract.Distribution``, over any leading axes,
``summary(mean, stddev)``
    the values that moments of the statistics stand for, and their standard deviations,
``probabilities(mean)``
    probabilities of the categories of each column that has some, by its position in the modality.

The *statistics* of a column of numbers are the numbers; those of a column of K categories are its K
indicators, for a mean of codes means nothing. Averages over latent points are taken of the statistics'
moments; ``summary`` turns them into values afterwards: of a column of categories, the most probable one.

``contract.Likelihood`` has all of this but ``forward``, as it should be for plain numbers: subclass it. To
add a likelihood, write it in the file of its kind and name it in the dict at the bottom.
"""
