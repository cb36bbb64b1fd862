"""Rotations of queries and keys: position as an angle (rotary), and a learned rotation before it (combined).

Row vectors throughout: a rotation P of x (…, K) is `x @ P`.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

Spacing = Literal["standard", "endpoint"]
Planes = Literal["none", "butterfly", "tournament"]
Orthogonal = Literal["none", "cayley", "exponential"]
Share = Literal["none", "heads", "layers"]


def rotary_positional_embedding(position: int | Tensor, dim: int, base: float = 10000.0) -> Tensor:
    """Sines and cosines of positions, interleaved: an int → (1, dim), positions (T,) → (T, dim), float32.

    Column 2i is sin(position · f_i), column 2i+1 its cosine, f = exp(linspace(0, −1, dim/2) · ln base), so that the
    last frequency is exactly 1/base. Raises ValueError for an odd dim.
    """
    positions = torch.as_tensor(position).reshape(-1)  # (T,)
    cosine, sine = rotary_angles_at(positions, rotary_frequencies(dim, base, "endpoint").to(positions.device))
    return torch.stack((sine, cosine), dim=-1).flatten(-2)  # (T, dim)


def rotary_exponents(head_width: int, spacing: Spacing = "standard") -> Tensor:
    """Exponents e of the frequencies base^−e of each pair of channels, (K/2,) float64.

    `standard` is 2i/K (Su et al. 2021, arXiv 2104.09864); `endpoint` goes from 0 to 1 with both ends. Raises ValueError
    for an odd width.
    """
    if head_width % 2 or head_width < 2:
        raise ValueError(f"rotary positions need an even width, got {head_width}")
    if spacing == "standard":
        return torch.arange(0, head_width, 2, dtype=torch.float64) / head_width
    return torch.linspace(0, 1, head_width // 2, dtype=torch.float64)


def rotary_frequencies(head_width: int, base: float = 10000.0, spacing: Spacing = "standard") -> Tensor:
    """Radians a frame of each pair of channels, (K/2,) float64."""
    return torch.exp(-math.log(base) * rotary_exponents(head_width, spacing))


def rotary_angles(num_frames: int, frequencies: Tensor, offset: int = 0) -> tuple[Tensor, Tensor]:
    """Cosine and sine of position × frequency for positions from `offset` on; shapes as in `rotary_angles_at`."""
    positions = torch.arange(offset, offset + num_frames, device=frequencies.device)
    return rotary_angles_at(positions, frequencies)


def rotary_angles_at(positions: Tensor, frequencies: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine at any positions, whole or between, float32, for `apply_rotary`.

    Positions (T,) give (T, K/2) with frequencies (K/2,), and (H, T, K/2) with frequencies (H, K/2) of each head.
    Positions of each utterance go in as (B, 1, T) and give (B, 1 or H, T, K/2).
    """
    # Note: angles in float64; in float32 they are wrong by 1e-4 at position 100 000, and bf16 cannot tell 256 from 257.
    # Autocast leaves float64 alone.
    angles = positions.double().unsqueeze(-1) * frequencies.double().unsqueeze(-2)  # (…, T, K/2)
    return angles.cos().float(), angles.sin().float()


def apply_rotary(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn each pair of channels (2i, 2i+1) of `heads` (B, H, T, K) by its angle, (…, T, K/2); the dtype is kept."""
    # A pair is a complex number and its turn a complex product: one pass over memory, four times faster on a CPU than
    # unbind and stack.
    exact = torch.promote_types(heads.dtype, torch.float32)
    turns = torch.complex(cosine.to(exact), sine.to(exact))  # (…, T, K/2)
    pairs = torch.view_as_complex(_dense(heads.to(exact)).unflatten(-1, (-1, 2)))  # (B, H, T, K/2)
    return torch.view_as_real(pairs * turns).flatten(-2).to(heads.dtype)  # (B, H, T, K)


class Rotation(nn.Module):
    """The learned rotation x · (∏ G_k) · R of the last dimension of any tensor, or a stack of them of shape `shape`.

    G_k are Givens rotations with learned angles, taken in rounds of dim/2 disjoint planes: `butterfly` has log2 dim
    rounds, in which every channel meets every other by way of others; `tournament` has up to dim − 1, in which every
    channel meets every other. `num_rounds` keeps the first ones only. Angles start at zero.

    R is a random rotation (orthogonal, determinant +1), drawn once, times a learned one that starts as the identity:
    the Cayley or exponential map of a skew matrix, so that it stays a rotation whatever the optimizer does.

    Raises ValueError for planes that do not fit `dim`, and when there is neither G nor R.
    """

    start: Tensor
    partners: Tensor
    signs: Tensor
    planes: Tensor

    def __init__(
        self,
        dim: int,
        shape: tuple[int, ...] = (),
        planes: Planes = "butterfly",
        num_rounds: int | None = None,
        orthogonal: Orthogonal = "cayley",
    ) -> None:
        super().__init__()
        if planes == "none" and orthogonal == "none":
            raise ValueError("a rotation needs Givens planes, an orthogonal matrix or both")
        self.shape = shape
        self.orthogonal = orthogonal
        partners = givens_rounds(dim, planes, num_rounds)  # (N, K)
        upper = partners < torch.arange(dim)
        lower_ranks = (~upper).cumsum(-1) - 1
        self.register_buffer("partners", partners, persistent=False)
        self.register_buffer("signs", torch.where(upper, -1.0, 1.0), persistent=False)  # (N, K)
        self.register_buffer(
            "planes", torch.where(upper, lower_ranks.gather(-1, partners), lower_ranks), persistent=False
        )
        num_matrices = math.prod(shape)
        # Flat, because the optimizer decays matrices and no vectors: an angle pulled to zero is a rotation undone.
        if len(partners):
            self.angles = nn.Parameter(torch.zeros(num_matrices * len(partners) * (dim // 2)))
        if orthogonal == "none":
            self.register_buffer("start", torch.eye(dim))
        else:
            self.skew = nn.Parameter(torch.zeros(num_matrices * (dim * (dim - 1) // 2)))
            self.register_buffer("start", random_rotation(dim, shape))

    def matrix(self) -> Tensor:
        """The composed matrix (∏ G_k) · R, (*shape, dim, dim)."""
        with torch.autocast(self.start.device.type, enabled=False):
            matrix = self.start.expand(*self.shape, *self.start.shape[-2:])
            if self.orthogonal != "none":
                matrix = matrix @ self._learned_rotation()
            if len(self.partners):
                angles = self.angles.view(*self.shape, len(self.partners), -1)  # (…, N, K/2)
                cosine = _spread(angles.cos(), self.planes)  # (…, N, K)
                sine = _spread(angles.sin(), self.planes) * self.signs
                for number in reversed(range(len(self.partners))):  # G · matrix turns rows; the last G stands next to R
                    other = matrix.index_select(-2, self.partners[number])  # (…, K, K)
                    matrix = torch.addcmul(cosine[..., number, :, None] * matrix, sine[..., number, :, None], other)
            return matrix

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs (…, dim) → (…, dim)."""
        return inputs @ self.matrix()

    def _learned_rotation(self) -> Tensor:
        dim = self.start.shape[-1]
        rows, columns = torch.triu_indices(dim, dim, 1, device=self.skew.device)
        triangle = self.skew.new_zeros(*self.shape, dim, dim)
        triangle[..., rows, columns] = self.skew.view(*self.shape, -1)
        skew = triangle - triangle.mT  # (…, K, K)
        if self.orthogonal == "exponential":
            # Note: in float32 the series is orthogonal to 1e-5 only, once the skew matrix has grown to norm 10.
            return torch.linalg.matrix_exp(skew.double()).to(skew.dtype)
        identity = torch.eye(dim, dtype=skew.dtype, device=skew.device)
        return 2 * torch.linalg.inv(identity - skew / 2) - identity  # (I + S/2) (I − S/2)⁻¹


class CombinedRotation(nn.Module):
    """The `Rotation` of queries and keys before rotary, for all heads of all layers, composed in one call a forward.

    `share` ties one rotation across the `heads` of a layer or across the `layers` of a head. Order in attention:
    project, normalise with gains, this rotation, rotary. With the same rotation after rotary it would cancel out of
    every score; with nothing between the projections and it, they could absorb it (`fold_into_projection`).
    """

    def __init__(
        self,
        num_layers: int,
        num_heads: int,
        head_width: int,
        share: Share = "none",
        planes: Planes = "butterfly",
        num_rounds: int | None = None,
        orthogonal: Orthogonal = "cayley",
    ) -> None:
        super().__init__()
        self.num_layers, self.num_heads = num_layers, num_heads
        shape = (1 if share == "layers" else num_layers, 1 if share == "heads" else num_heads)
        self.rotation = Rotation(head_width, shape, planes, num_rounds, orthogonal)

    def forward(self) -> Tensor:
        """The matrices of all layers and heads, (L, H, K, K); layer l turns heads (B, H, T, K) by `heads @ P[l]`."""
        return self.rotation.matrix().expand(self.num_layers, self.num_heads, -1, -1)

    def fold(self) -> "FoldedRotation":
        """What replaces this module in inference: the same matrices, composed once for all."""
        return FoldedRotation(self().detach().clone())


class FoldedRotation(nn.Module):
    """Combined rotations that no longer change, (L, H, K, K)."""

    matrices: Tensor

    def __init__(self, matrices: Tensor) -> None:
        super().__init__()
        self.register_buffer("matrices", matrices)

    def forward(self) -> Tensor:
        return self.matrices


def fold_into_projection(weight: Tensor, rotations: Tensor) -> Tensor:
    """The weight (H·K, D) of a linear layer that projects and then turns each head by `rotations` (H, K, K).

    Exact only where nothing, no normalisation and no gain, stands between the projection and the rotation.
    """
    heads = weight.unflatten(0, rotations.shape[:2])  # (H, K, D)
    return (rotations.mT @ heads).flatten(0, 1)  # (H·K, D)


def random_rotation(dim: int, shape: tuple[int, ...] = ()) -> Tensor:
    """Uniformly random orthogonal matrices with determinant +1, (*shape, dim, dim) float32."""
    orthogonal, triangle = torch.linalg.qr(torch.randn(*shape, dim, dim, dtype=torch.float64))
    orthogonal = orthogonal * triangle.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)  # QR's own signs are not random
    orthogonal[..., 0] *= torch.linalg.det(orthogonal).sign().unsqueeze(-1)
    return orthogonal.float()


def givens_rounds(dim: int, planes: Planes, num_rounds: int | None = None) -> Tensor:
    """Rounds of disjoint planes, (N, dim) int64: in round n, channel i is turned together with channel [n, i].

    Raises ValueError for a `dim` that has no such planes or for more rounds than there are.
    """
    channels = torch.arange(dim)
    if planes == "none":
        rounds = channels.new_empty(0, dim)
    elif planes == "butterfly":
        if dim < 2 or dim & (dim - 1):
            raise ValueError(f"butterfly planes need a power of two channels, got {dim}; use tournament planes")
        rounds = channels ^ (1 << torch.arange(dim.bit_length() - 1))[:, None]
    else:
        if dim < 2 or dim % 2:
            raise ValueError(f"tournament planes need an even number of channels, got {dim}")
        # Round-robin: the last channel sits still, in round n it meets n, and the others meet as i + j = 2n.
        numbers = torch.arange(dim - 1)[:, None]
        rounds = torch.where(channels == numbers, dim - 1, (2 * numbers - channels) % (dim - 1))
        rounds[:, -1] = numbers[:, 0]
    if num_rounds is None:
        return rounds
    if not 1 <= num_rounds <= len(rounds):
        raise ValueError(f"{planes} planes of {dim} channels come in {len(rounds)} rounds, got num_rounds {num_rounds}")
    return rounds[:num_rounds]


def _spread(values: Tensor, planes: Tensor) -> Tensor:
    """Values of planes (…, N, K/2) to the channels (…, N, K) that lie in them."""
    return values.gather(-1, planes.expand(*values.shape[:-1], -1))


def _dense(heads: Tensor) -> Tensor:
    """The tensor, copied only if its pairs of channels do not lie in memory as complex numbers do."""
    strides_fit = heads.stride(-1) == 1 and all(stride % 2 == 0 for stride in heads.stride()[:-1])
    return (
        heads if strides_fit and heads.storage_offset() % 2 == 0 else heads.clone(memory_format=torch.contiguous_format)
    )
