"""The walk along sequences in its most common form, with the backward pass written out.

One layer of gated recurrent units, one latent path, normal densities, one product per step: then a step is a
few dozen small operations, and most of their time goes into recording them for automatic differentiation.
Here they are recorded once for the whole walk, and the gradients of the weights are collected over all steps
in one matrix product each. The results are those of ``VRNNNetwork.walk``, which does the same for every other
network, and against which this is tested.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from skmm.probability.posteriors import MAX_LOG_PRECISION


class FusedWalk(torch.autograd.Function):
    """Walk along sequences; all tensors have time first.

    Parameters
    ----------
    said : Tensor of shape (n_steps, n, 2 * k)
        Natural parameters of the evidence of each step: precision-weighted means, then precisions.
    noise : Tensor of shape (n_steps, n, k)
    start : Tensor of shape (n, H)
        Hidden state before the first step.
    state_weight, state_bias : Tensor of shape (2 * k + 3 * H, H) and (2 * k + 3 * H,)
        Of all that is computed from the hidden state: the prior's raw parameters and the gates.
    input_weight, input_bias : Tensor of shape (3 * H, k) and (3 * H,)
        Of all that is computed from the latent point: the gates.

    Returns
    -------
    z : Tensor of shape (n_steps, n, k)
    hidden : Tensor of shape (n_steps + 1, n, H)
        Before each step, and after the last one.
    prior : Tensor of shape (n_steps, n, 2 * k)
        Natural parameters of the prior of each step.
    """

    @staticmethod
    def forward(
        ctx: Any,
        said: Tensor,
        noise: Tensor,
        start: Tensor,
        state_weight: Tensor,
        state_bias: Tensor,
        input_weight: Tensor,
        input_bias: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        n_steps, n, k = noise.shape
        size = start.shape[1]
        z = torch.empty_like(noise)
        hidden = start.new_empty(n_steps + 1, n, size)
        hidden[0] = start
        raw = start.new_empty(n_steps, n, len(state_weight))  # from the hidden state
        prior = torch.empty_like(said)
        scale = torch.empty_like(noise)
        gates = start.new_empty(n_steps, n, 3 * size)  # reset, update, candidate
        from_state, from_input = state_weight.t(), input_weight.t()
        parts = [k, k, 2 * size, size]
        for h, after, u, p, gate, s, e, point, known in zip(
            hidden[:-1], hidden[1:], raw, prior, gates, scale, noise, z, said, strict=True
        ):
            torch.addmm(state_bias, h, from_state, out=u)
            mean, log_precision, both, from_h = u.split(parts, dim=1)
            sure = torch.exp(log_precision.clamp(-MAX_LOG_PRECISION, MAX_LOG_PRECISION), out=p[:, k:])
            torch.mul(mean, sure, out=p[:, :k])
            weighted_mean, precision = (p + known).chunk(2, dim=1)
            torch.rsqrt(precision, out=s)
            torch.mul(torch.addcmul(e, weighted_mean, s), s, out=point)
            torch.addmm(input_bias, point, from_input, out=gate)
            reset_update, candidate = gate.split([2 * size, size], dim=1)
            reset_update.add_(both).sigmoid_()
            candidate.addcmul_(reset_update[:, :size], from_h).tanh_()
            torch.lerp(candidate, h, reset_update[:, size:], out=after)
        ctx.save_for_backward(noise, z, hidden, raw, prior, said, scale, gates, state_weight, input_weight)
        return z, hidden, prior

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, of_z: Tensor, of_hidden: Tensor, of_prior: Tensor
    ) -> tuple[Tensor, None, Tensor, Tensor, Tensor, Tensor, Tensor]:
        noise, z, hidden, raw, prior, said, scale, gates, state_weight, input_weight = ctx.saved_tensors
        n_steps, _, k = noise.shape
        size = hidden.shape[2]
        of_raw, of_gates, of_said = torch.empty_like(raw), torch.empty_like(gates), torch.empty_like(said)
        # the factors of the chain rule that do not depend on later steps, for all steps at once
        reset, update, candidate = gates.split(size, dim=2)
        before, of_h = hidden[:-1], raw[..., 2 * k + 2 * size :]
        to_candidate = (1 - update) * (1 - candidate.square())
        to_update = (before - candidate) * update * (1 - update)
        to_reset = to_candidate * of_h * reset * (1 - reset)
        to_gates = torch.stack([to_reset, to_update, to_candidate], dim=2)  # (T, n, 3, H)
        from_h = torch.stack([to_reset, to_update, to_candidate * reset], dim=2)
        variance = scale.square()
        to_precision = -0.5 * scale * variance * (noise + 2 * (said + prior)[..., :k] * scale)
        to_said = torch.stack([variance, to_precision], dim=2)  # (T, n, 2, k)
        from_precision = prior[..., k:] * (raw[..., k : 2 * k].abs() < MAX_LOG_PRECISION)
        from_mean = torch.stack([prior[..., k:], from_precision * raw[..., :k]], dim=2)
        later = of_hidden[n_steps]
        by_gate = of_gates.unflatten(2, (3, size))
        by_part = of_said.unflatten(2, (2, k))
        for t in range(n_steps - 1, -1, -1):
            u = of_raw[t]
            wide = later[:, None]
            torch.mul(wide, to_gates[t], out=by_gate[t])
            torch.mul(wide, from_h[t], out=u[:, 2 * k :].unflatten(1, (3, size)))
            point = torch.addmm(of_z[t], of_gates[t], input_weight)
            torch.mul(point[:, None], to_said[t], out=by_part[t])
            mean, precision = (of_said[t] + of_prior[t]).chunk(2, dim=1)
            torch.mul(mean[:, None], from_mean[t], out=u[:, : 2 * k].unflatten(1, (2, k)))
            u[:, k : 2 * k].addcmul_(precision, from_precision[t])
            later = torch.addcmul(of_hidden[t], later, update[t]).addmm_(u, state_weight)
        flat_raw, flat_gates = of_raw.flatten(0, 1), of_gates.flatten(0, 1)
        return (
            of_said,
            None,
            later,
            flat_raw.t() @ before.flatten(0, 1),
            flat_raw.sum(0),
            flat_gates.t() @ z.flatten(0, 1),
            flat_gates.sum(0),
        )
