r"""Multi-step sampling (Algorithm 4), which draws a sample instead of the mean.

The denoiser that is conditioned on the noisy state and on the observations is approximated by

.. math::
    \hat x_\theta(s) = \omega_s\, x_\theta(s, M_{rnd} \odot x_s, M_{rnd})
        + (1 - \omega_s)\, \mathbb E[x_0 \mid x_{obs}, M]   \qquad \text{(Eq. 28)}

with the second term, the imputation expectation, computed once by the single-step ensemble, and
one random mask a step in the first. At observed cells the noise follows from the clean
observations. A guide moves the estimate of each step towards a law of physics. The state moves
along the probability-flow ODE by exponential-integrator steps (DDIM).

References
----------
Appendix E of the paper; Lugmayr et al. (2022), arXiv:2201.09865, for the treatment of observed
cells; Song et al. (2021), arXiv:2010.02502, for the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ..estimator import Estimator, Prediction
from ..exceptions import ImputeError
from ..guiding import Guide, guided
from ..imputation import contexts, gaussian, imputation_expectation
from ..partition import Partition
from .base import Sampler

__all__ = ["MultiStep"]

Weight = Literal["none", "t", "t2", "all"]
Context = Literal["random", "fixed", "observed"]


class MultiStep(Sampler):
    """Follow the probability-flow ODE from noise to a field that agrees with the observations.

    Parameters
    ----------
    steps : int
        Steps from t = 1 to 0.
    members : int
        Contexts of the imputation expectation, K in Eq. 27.
    weight : {"t", "t2", "none", "all"}
        :math:`\\omega_t`: t, t squared, 0 ("w/o" in Table 7: the imputation expectation
        alone), or 1 (the diffusion expectation alone).
    context : {"random", "fixed", "observed"}
        Mask of the diffusion expectation: drawn like a training context but of all cells, in
        every step or once; or the observations' own.
    strength : float
        Of a guide: in each step its pull moves the estimate by at most the root of this, in
        standard errors (:func:`xdiffimpute.guiding.guided`).

    Raises
    ------
    ImputeError
        If a number is below one or a word is unknown.

    Examples
    --------
    >>> import torch
    >>> from xdiffimpute.denoiser import Denoiser
    >>> from xdiffimpute.masks import MASKS
    >>> denoiser, x = Denoiser(channels=1, features=0), torch.zeros(1, 1, 1, 8, 8)
    >>> inputs = (denoiser, x, torch.ones_like(x), x[:, :0], Partition(MASKS.create("pixel")))
    >>> with torch.no_grad():
    ...     mean, variance = MultiStep(steps=2, members=1)(*inputs, [np.random.default_rng(0)])
    >>> mean.shape, bool((variance > 0).all())
    (torch.Size([1, 1, 1, 8, 8]), True)
    """

    in_place = True
    guided = True

    def __init__(
        self,
        steps: int = 200,
        members: int = 10,
        weight: Weight = "t",
        context: Context = "random",
        strength: float = 1.0,
    ) -> None:
        if steps < 1 or members < 1:
            raise ImputeError(
                f"MultiStep(steps={steps}, members={members}): both must be at least 1, such as "
                "steps=200, members=10"
            )
        for given, known in ((weight, get_args(Weight)), (context, get_args(Context))):
            if given not in known:
                raise ImputeError(f"MultiStep: {given!r} is not one of {known}")
        if strength <= 0:
            raise ImputeError(f"MultiStep(strength={strength}): it must be positive, such as 1.0")
        self.steps, self.members, self.weight, self.context = steps, members, weight, context
        self.strength = strength

    def __call__(
        self,
        denoiser: Estimator,
        x: Tensor,
        observed: Tensor,
        features: Tensor,
        partition: Partition,
        rngs: Sequence[np.random.Generator],
        density: float | None = None,
        noise: Tensor | None = None,
        guide: Guide | None = None,
    ) -> Prediction:
        known = imputation_expectation(
            denoiser, x, observed, features, partition, rngs, density, self.members
        )
        if noise is None:
            noise = torch.stack([gaussian(tuple(x.shape[1:]), rng) for rng in rngs])
        state = noise.to(x)
        mask = self._mask(observed, partition, rngs, density)
        times = torch.linspace(1.0, 0.0, self.steps + 1).tolist()
        for s, t in zip(times[:-1], times[1:], strict=True):
            estimate = known.mean
            share = {"none": 0.0, "t": s, "t2": s * s, "all": 1.0}[self.weight]
            if share > 0:
                time = torch.full((x.shape[0],), s, device=x.device)
                diffused = denoiser(state, time, mask, features).mean
                estimate = share * diffused + (1 - share) * estimate
                if self.context == "random":
                    mask = self._mask(observed, partition, rngs, density)
            clean = torch.where(observed > 0, x, estimate)
            if guide is not None:
                clean = guided(clean, known.variance, observed, guide, self.strength)
            (alpha_s, sigma_s), (alpha_t, sigma_t) = (
                (level.to(x) for level in denoiser.schedule(torch.tensor([now]))) for now in (s, t)
            )
            epsilon = (state - alpha_s * clean) / sigma_s
            state = alpha_t * clean + sigma_t * epsilon
        return Prediction(torch.where(observed > 0, x, state), known.variance)

    def _mask(
        self,
        observed: Tensor,
        partition: Partition,
        rngs: Sequence[np.random.Generator],
        density: float | None,
    ) -> Tensor:
        """Mask of the diffusion expectation, shape (B, C, T, H, W)."""
        if self.context == "observed":
            return observed
        if self.context == "fixed":
            return contexts(observed, partition, rngs, density, 1)
        seen = observed.bool().cpu().numpy()
        masks = [
            partition.pattern(np.ones_like(sample), rng, float(density or max(sample.mean(), 1e-3)))
            for sample, rng in zip(seen, rngs, strict=True)
        ]
        if partition.given:
            for mask, sample in zip(masks, seen, strict=True):
                mask[-partition.given :] = sample[-partition.given :]
        return torch.from_numpy(np.stack(masks)).to(observed)
