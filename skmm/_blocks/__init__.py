"""The door: what users hold, and the tensors and masks the networks see."""
