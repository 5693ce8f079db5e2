"""The gated delta rule of gdn (Yang, Kautz & Hatamizadeh 2025, eq. 10): written out, in chunks of time, and compiled.

S_t = alpha_t (I - beta_t k_t k_t^T) S_{t-1} + beta_t k_t v_t^T and o_t = S_t^T q_t / sqrt(D): a table S from keys to
values, which forgets by alpha, and in which beta_t says how much of what stood at k_t gives way to v_t. With keys of
length 1 and beta in (0, 2) a step may also mirror the state, and so keep track of one (Grazzi et al. 2024).

In a chunk that begins with the state S_0, let g_t be the sum of log alpha up to t. Then S_t = exp(g_t) S_0 + sum over
i <= t of exp(g_t - g_i) k_i u_i^T, where the u solve (I + A) U = beta (V - exp(g) K S_0) and A_ti =
beta_t exp(g_t - g_i) k_t . k_i for i < t (Yang et al. 2024, section 3.2, with decay). The system is triangular with
ones on its diagonal and is solved as one: powers of A, which double the number of steps taken together, lose all
digits where keys repeat. From chunk to chunk the state goes through one product each, S' = M S + N; all else is
products of all chunks at once. Everything is fp32.

A CPU needs no products: a table fits into its first cache, where delta.c takes step after step.

Shapes: B batch, H heads, T time, D width of a head's keys and values, N chunks, C tokens of a chunk, M
steps of a token; C3 is 3 H D.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqtool.models.scan import wide
from seqtool.native import loading
from seqtool.native.loading import Count, Pointer, Real

CHUNK, CHUNK_ON_GPU = 32, 64
LENGTH_EPSILON = 1e-6  # added to a squared length
MOST_COMPILED_WIDTH = 128  # of a head; delta.c says the same
POINTERS = (
    "qkv", "alpha", "beta", "before", "o", "after", "kept", "scratch",
    "d_o", "dafter", "dqkv", "dalpha", "dbeta", "dbefore",
)  # fmt: skip


class Rule(ctypes.Structure):
    """The sizes of a pass of delta.c, what it is given, and where its results go."""

    _fields_ = [
        *((name, Count) for name in ("rows", "time", "heads", "width", "threads", "is_bf16")),
        ("epsilon", Real),
        *((name, Pointer) for name in POINTERS),
    ]


def delta_library() -> ctypes.CDLL | None:
    """The compiled delta.c; None where there is none."""
    return loading.part("delta")


def gated_delta_rule(
    qkv_BTC3: Tensor, log_alpha_BTH: Tensor, beta_BTH: Tensor, S_BHDD: Tensor
) -> tuple[Tensor, Tensor]:
    """Outputs (B, T, H, D) in qkv's dtype and the tables (B, H, D, D) in fp32 after the last step.

    qkv has the queries of all heads, then their keys and values; queries and keys are divided by their lengths. By
    delta.c on a CPU where it was compiled, else in chunks of time.
    """
    compiled = qkv_BTC3.device.type == "cpu" and qkv_BTC3.dtype in (torch.float32, torch.bfloat16)
    if compiled and S_BHDD.shape[-1] <= MOST_COMPILED_WIDTH and delta_library() is not None:
        found: tuple[Tensor, Tensor] = _CompiledRule.apply(
            torch.is_grad_enabled(), qkv_BTC3, log_alpha_BTH.float().exp(), beta_BTH.float(), S_BHDD.float()
        )
        return found
    q_BHTD, k_BHTD, v_BHTD = wide(qkv_BTC3).unflatten(-1, (3, S_BHDD.shape[1], -1)).permute(2, 0, 3, 1, 4)
    log_alpha_BHT, beta_BHT = wide(log_alpha_BTH).transpose(1, 2), wide(beta_BTH).transpose(1, 2)
    o_BHTD, S_BHDD = delta_rule(of_length_1(q_BHTD), of_length_1(k_BHTD), v_BHTD, log_alpha_BHT, beta_BHT, wide(S_BHDD))
    return o_BHTD.transpose(1, 2).to(qkv_BTC3.dtype), S_BHDD


def gated_delta_product(
    qkv_BTF: Tensor, log_alpha_BTH: Tensor, beta_BTMH: Tensor, S_BHDD: Tensor
) -> tuple[Tensor, Tensor]:
    """`gated_delta_rule` with M steps for each token, of which the first forgets and the last is read (Siems et al.
    2025, eq. 4, with decay); what it gives is of its shapes.

    qkv has the queries, then keys and values of each step: F = (1 + 2 M) H D. The steps stand one after the other, as a
    sequence of M T tokens.
    """
    M = beta_BTMH.shape[2]
    if M == 1:
        return gated_delta_rule(qkv_BTF, log_alpha_BTH, beta_BTMH[:, :, 0], S_BHDD)
    width = qkv_BTF.shape[2] // (1 + 2 * M)
    q, kv = qkv_BTF.split((width, 2 * M * width), -1)
    steps = torch.cat([q.unsqueeze(2).expand(-1, -1, M, -1), kv.unflatten(-1, (M, -1))], -1)
    log_alpha = F.pad(log_alpha_BTH.unsqueeze(2), (0, 0, 0, M - 1))
    o, S_BHDD = gated_delta_rule(steps.flatten(1, 2), log_alpha.flatten(1, 2), beta_BTMH.flatten(1, 2), S_BHDD)
    return o[:, M - 1 :: M], S_BHDD


def of_length_1(x: Tensor) -> Tensor:
    """Vectors divided by their length; one of zeros stays so, with a gradient that is finite."""
    return x * (x.square().sum(-1, keepdim=True) + LENGTH_EPSILON).rsqrt()


def delta_rule_reference(
    q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor, log_alpha_BHT: Tensor, beta_BHT: Tensor, S_BHDD: Tensor
) -> tuple[Tensor, Tensor]:
    """Outputs (B, H, T, D) and the state (B, H, D, D) after the last step, a step at a time."""
    outputs = []
    for t in range(q_BHTD.shape[2]):
        o_BHD, S_BHDD = delta_rule_step(
            q_BHTD[:, :, t], k_BHTD[:, :, t], v_BHTD[:, :, t], log_alpha_BHT[:, :, t], beta_BHT[:, :, t], S_BHDD
        )
        outputs.append(o_BHD)
    return torch.stack(outputs, 2), S_BHDD


def delta_rule_step(
    q_BHD: Tensor, k_BHD: Tensor, v_BHD: Tensor, log_alpha_BH: Tensor, beta_BH: Tensor, S_BHDD: Tensor
) -> tuple[Tensor, Tensor]:
    """The output (B, H, D) and the state (B, H, D, D) after one step."""
    S_BHDD = log_alpha_BH.exp()[..., None, None] * S_BHDD
    found_BHD = (k_BHD.unsqueeze(2) @ S_BHDD).squeeze(2)
    written_BHD = beta_BH.unsqueeze(-1) * (v_BHD - found_BHD)
    S_BHDD = S_BHDD + k_BHD.unsqueeze(-1) * written_BHD.unsqueeze(2)
    return (q_BHD.unsqueeze(2) @ S_BHDD).squeeze(2) / math.sqrt(q_BHD.shape[-1]), S_BHDD


def delta_rule(
    q_BHTD: Tensor,
    k_BHTD: Tensor,
    v_BHTD: Tensor,
    log_alpha_BHT: Tensor,
    beta_BHT: Tensor,
    S_BHDD: Tensor,
    chunk: int = 0,
) -> tuple[Tensor, Tensor]:
    """The same as `delta_rule_reference`, in chunks of time: 0 for as many tokens as suit the device."""
    time, width = q_BHTD.shape[2:]
    if time == 1:
        q_BHD, k_BHD, v_BHD, log_alpha_BH, beta_BH = (
            part[:, :, 0] for part in (q_BHTD, k_BHTD, v_BHTD, log_alpha_BHT, beta_BHT)
        )
        o_BHD, S_BHDD = delta_rule_step(q_BHD, k_BHD, v_BHD, log_alpha_BH, beta_BH, S_BHDD)
        return o_BHD.unsqueeze(2), S_BHDD
    C = chunk or (CHUNK_ON_GPU if q_BHTD.device.type == "cuda" else CHUNK)
    C = min(C, time)
    lacking = -time % C  # steps that change nothing: keys of 0, which are never forgotten
    q, k, v = (F.pad(part, (0, 0, 0, lacking)).unflatten(2, (-1, C)) for part in (q_BHTD, k_BHTD, v_BHTD))
    log_alpha, beta = (F.pad(part, (0, lacking)).unflatten(2, (-1, C)) for part in (log_alpha_BHT, beta_BHT))

    g_BHNC = log_alpha.cumsum(-1)
    later_CC = torch.ones(C, C, dtype=torch.bool, device=q.device).triu(1)
    # Masked before exp: what lies above the diagonal may be too large for it, and 0 times infinity is no gradient.
    decay_BHNCC = (g_BHNC.unsqueeze(-1) - g_BHNC.unsqueeze(-2)).masked_fill(later_CC, -math.inf).exp()
    A_BHNCC = (beta.unsqueeze(-1) * (k @ k.transpose(-1, -2)) * decay_BHNCC).tril(-1)
    sides = beta.unsqueeze(-1) * torch.cat([v, g_BHNC.exp().unsqueeze(-1) * k], -1)
    Y, W = torch.linalg.solve_triangular(A_BHNCC, sides, upper=False, unitriangular=True).chunk(2, dim=-1)

    end_BHN = g_BHNC[..., -1]
    kept_BHNDC = ((end_BHN.unsqueeze(-1) - g_BHNC).exp().unsqueeze(-1) * k).transpose(-1, -2)
    M_BHNDD = torch.diag_embed(end_BHN.exp().unsqueeze(-1).expand(*end_BHN.shape, width)) - kept_BHNDC @ W
    before_BHNDD, S_BHDD = _through_chunks(M_BHNDD, kept_BHNDC @ Y, S_BHDD)

    U = Y - W @ before_BHNDD
    o = (g_BHNC.exp().unsqueeze(-1) * q) @ before_BHNDD + ((q @ k.transpose(-1, -2)) * decay_BHNCC) @ U
    return o.flatten(2, 3)[:, :, :time] / math.sqrt(width), S_BHDD


def _through_chunks(M_BHNDD: Tensor, N_BHNDD: Tensor, S_BHDD: Tensor) -> tuple[Tensor, Tensor]:
    """The states before each chunk, (B, H, N, D, D), and after the last, where each is M S + N of the one before."""
    states: tuple[Tensor, Tensor] = _Chain.apply(M_BHNDD, N_BHNDD, S_BHDD)
    return states


class _Chain(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, M_BHNDD: Tensor, N_BHNDD: Tensor, S_BHDD: Tensor) -> tuple[Tensor, Tensor]:
        M, N = (part.flatten(0, 1).transpose(0, 1).contiguous() for part in (M_BHNDD, N_BHNDD))  # (N, B H, D, D)
        states = torch.empty_like(M)
        S = S_BHDD.flatten(0, 1)
        for n in range(len(M)):
            states[n] = S
            S = torch.baddbmm(N[n], M[n], states[n])
        ctx.save_for_backward(M, states)
        ctx.shape = S_BHDD.shape[:2]
        return states.transpose(0, 1).unflatten(0, ctx.shape), S.unflatten(0, ctx.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dstates_BHNDD: Tensor, dS_BHDD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        M, states = ctx.saved_tensors
        dbefore = dstates_BHNDD.flatten(0, 1).transpose(0, 1)
        dN = torch.empty_like(M)
        dS = dS_BHDD.flatten(0, 1)
        for n in range(len(M) - 1, -1, -1):
            dN[n] = dS
            dS = torch.baddbmm(dbefore[n], M[n].transpose(1, 2), dN[n])
        dM = dN @ states.transpose(-1, -2)
        dM, dN = (part.transpose(0, 1).unflatten(0, ctx.shape) for part in (dM, dN))
        return dM, dN, dS.unflatten(0, ctx.shape)


class _CompiledRule(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, learning: bool, qkv_BTC3: Tensor, alpha_BTH: Tensor, beta_BTH: Tensor, S_BHDD: Tensor
    ) -> tuple[Tensor, Tensor]:
        given = {"qkv": qkv_BTC3, "alpha": alpha_BTH, "beta": beta_BTH, "before": S_BHDD}
        given = {name: tensor.contiguous() for name, tensor in given.items()}
        (B, T), (H, D) = qkv_BTC3.shape[:2], S_BHDD.shape[1:3]
        o_BTHD, after_BHDD = given["qkv"].new_empty((B, T, H, D)), torch.empty_like(given["before"])
        rule, kept = _rule(o_BTHD), None
        if learning and any(ctx.needs_input_grad):
            kept = torch.empty(_compiled().seqtool_delta_kept(ctypes.addressof(rule)))
        _call(rule, "forward", **given, o=o_BTHD, after=after_BHDD, kept=kept)
        ctx.save_for_backward(*given.values(), kept)
        ctx.set_materialize_grads(False)
        return o_BTHD, after_BHDD

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_o_BTHD: Tensor | None, dafter_BHDD: Tensor | None) -> tuple[Tensor | None, ...]:
        *tensors, kept = ctx.saved_tensors
        given = dict(zip(("qkv", "alpha", "beta", "before"), tensors, strict=True))
        (B, T), (H, D), dtype = given["qkv"].shape[:2], given["before"].shape[1:3], given["qkv"].dtype
        d_o_BTHD = given["qkv"].new_zeros((B, T, H, D)) if d_o_BTHD is None else d_o_BTHD.to(dtype).contiguous()
        dafter_BHDD = None if dafter_BHDD is None else dafter_BHDD.float().contiguous()
        found = {f"d{name}": torch.empty_like(tensor) for name, tensor in given.items()}
        _call(_rule(d_o_BTHD), "backward", **given, **found, kept=kept, d_o=d_o_BTHD, dafter=dafter_BHDD)
        return None, *found.values()


def _compiled() -> ctypes.CDLL:
    """The library, where it is known to be there."""
    found = delta_library()
    assert found is not None
    return found


def _rule(like_BTHD: Tensor) -> Rule:
    """The sizes of a pass whose outputs are like these; `_call` says where its numbers are."""
    (B, T, H, D), bf16 = like_BTHD.shape, like_BTHD.dtype == torch.bfloat16
    sizes = {"rows": B, "time": T, "heads": H, "width": D, "threads": torch.get_num_threads()}
    return Rule(**sizes, is_bf16=bf16, epsilon=LENGTH_EPSILON)


def _call(rule: Rule, name: str, **tensors: Tensor | None) -> None:
    """Run a pass on these contiguous tensors, which stay alive until it is done."""
    tensors["scratch"] = torch.empty(_compiled().seqtool_delta_scratch(ctypes.addressof(rule)))
    for field, tensor in tensors.items():
        setattr(rule, field, None if tensor is None else tensor.data_ptr())
    getattr(_compiled(), f"seqtool_delta_{name}")(ctypes.addressof(rule))
