"""Gradients that explode: clipping."""

from __future__ import annotations

from torch import Tensor, nn

from seqtool.settings.training import TrainConfig

AGC_LEAST_NORM = 1e-3  # what the norm of a unit's weights counts as at least


def clip_gradients(parameters: list[nn.Parameter], config: TrainConfig) -> Tensor:
    """Clip each unit to clip_agc, each component to +-clip_value, all to a norm of clip_norm; the norm before it all.

    Pascanu, Mikolov & Bengio 2013, algorithm 1. A limit of 0 is no limit.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    before = norm = nn.utils.get_total_norm(gradients)
    if config.clip_agc:
        clip_adaptively(parameters, config.clip_agc)
    if config.clip_value:
        nn.utils.clip_grad_value_(parameters, config.clip_value)
    if config.clip_norm:
        if config.clip_agc or config.clip_value:
            norm = nn.utils.get_total_norm(gradients)
        nn.utils.clip_grads_with_norm_(parameters, config.clip_norm, norm)
    return before


def clip_adaptively(parameters: list[nn.Parameter], share: float) -> None:
    """Rescale the gradient of each unit, a row of weights, whose norm is over `share` of the weights' norm.

    Brock et al. 2021, eq. 3. A vector, of biases or gains, is one unit.
    """
    for parameter in parameters:
        if parameter.grad is None:
            continue
        weights, gradients = (
            tensor.flatten(1) if tensor.dim() > 1 else tensor.unsqueeze(0)
            for tensor in (parameter.detach(), parameter.grad)
        )
        most = share * weights.norm(dim=1, keepdim=True).clamp(min=AGC_LEAST_NORM)
        norms = gradients.norm(dim=1, keepdim=True)
        gradients.mul_((most / norms.clamp(min=1e-6)).clamp(max=1.0))
