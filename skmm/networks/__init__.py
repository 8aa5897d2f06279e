"""Networks: what is trained. They know Blocks and densities, and nothing of scikit-learn."""
