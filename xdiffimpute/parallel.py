"""Training on several processes, one for each GPU or machine, started by ``torchrun``.

Every rank holds the whole network and draws its own share of each batch; the gradients are
summed over the ranks before each update, so that the networks stay equal. What only one rank
can know, such as how much of the time limit is used up, the first decides for all.

References
----------
Li et al. (2020), PyTorch distributed: experiences on accelerating data parallel training,
arXiv:2006.15704.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .exceptions import ImputeError

__all__ = ["ALONE", "Ranks", "is_first", "joined", "local_device"]


T = TypeVar("T")


def is_first() -> bool:
    """Whether this process is the one that reports and saves; alone, it is."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank() == 0
    return _started() == 1 or int(os.environ.get("RANK", "0")) == 0


def _started() -> int:
    """How many processes ``torchrun`` has started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_device(device: str | None) -> str | None:
    """The GPU that ``torchrun`` means for this process, where a GPU is asked for or found."""
    rank = os.environ.get("LOCAL_RANK")
    if rank is None or not torch.cuda.is_available() or device not in (None, "cuda"):
        return device
    return f"cuda:{int(rank) % torch.cuda.device_count()}"


@dataclass(frozen=True)
class Ranks:
    """The processes that train one network together.

    Parameters
    ----------
    rank : int
        Of this one.
    size : int
        How many there are.
    device : torch.device
        Of what they tell each other.

    Examples
    --------
    >>> list(Ranks(rank=1, size=2).share(5))
    [1, 3]
    """

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def first(self) -> bool:
        """Whether this process decides, reports and saves."""
        return self.rank == 0

    def share(self, batch: int) -> range:
        """Which samples of a batch this rank draws.

        Raises
        ------
        ImputeError
            If there are more ranks than samples.
        """
        if batch < self.size:
            raise ImputeError(
                f"a batch of {batch} windows cannot be shared by {self.size} processes; give each "
                f"at least one, such as batch={4 * self.size}"
            )
        return range(self.rank, batch, self.size)

    def sum_gradients(self, parameters: Iterable[nn.Parameter], samples: int, weight: float) -> int:
        """Gradients of the mean over all ranks' cells, from the means over each rank's own.

        Parameters
        ----------
        parameters : iterable of Parameter
            Their ``grad`` is replaced.
        samples : int
            Number of samples of this rank.
        weight : float
            Number of cells that its mean was taken over; 0 if there were none.

        Returns
        -------
        int
            Number of samples of all ranks.
        """
        if self.size == 1:
            return samples
        grads = [p.grad for p in parameters if p.grad is not None]
        counts = grads[0].new_tensor([weight, samples])
        flat = torch.cat([*(weight * grad.flatten() for grad in grads), counts])
        dist.all_reduce(flat)
        cells, total = flat[-2].clamp(min=1.0), round(float(flat[-1]))
        parts = (flat[:-2] / cells).split([grad.numel() for grad in grads])
        for grad, part in zip(grads, parts, strict=True):
            grad.copy_(part.view_as(grad))
        return total

    def told(self, value: T | None) -> T:
        """What the first rank knows and gives; the others give None."""
        box: list[Any] = [value]
        if self.size > 1:
            dist.broadcast_object_list(box, src=0, device=self.device)
        found: T = box[0]
        return found

    def agreed(self, value: float) -> float:
        """The first rank's value, on all."""
        if self.size == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(told, src=0)
        return float(told)

    def either(self, yes: bool) -> bool:
        """Whether it is so on any rank."""
        if self.size == 1:
            return yes
        told = torch.tensor([float(yes)], device=self.device)
        dist.all_reduce(told, dist.ReduceOp.MAX)
        return bool(told)

    def spread(self, network: nn.Module) -> None:
        """Give every rank the first one's parameters and buffers."""
        if self.size == 1:
            return
        tensors: list[Tensor] = [p.data for p in network.parameters()]
        for tensor in [*tensors, *network.buffers()]:
            dist.broadcast(tensor, src=0)


ALONE = Ranks()


@contextmanager
def joined(device: str | None) -> Iterator[Ranks]:
    """Join the other processes, if ``torchrun`` has started any, and leave them at the end.

    A process group that the caller has set up is used, and left as it is.

    Parameters
    ----------
    device : str, optional
        What the training was asked to run on; NCCL connects GPUs, Gloo all else.
    """
    name = local_device(device) or ("cuda" if torch.cuda.is_available() else "cpu")
    place = torch.device(name if name.startswith("cuda") else "cpu")
    if dist.is_available() and dist.is_initialized():
        yield Ranks(dist.get_rank(), dist.get_world_size(), place)
        return
    if _started() == 1:
        yield Ranks(device=place)
        return
    if place.type == "cuda":
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), place)
    finally:
        dist.destroy_process_group()
