"""What `fit` needs to train with several processes, one a device, as `torchrun` starts them.

Each process holds the whole model and all data, and takes its share of every batch. With a single process nothing here
has an effect.
"""

import contextlib
import gc
import os
from collections.abc import Callable, Iterator

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@contextlib.contextmanager
def start() -> Iterator[None]:
    """Join the processes that `torchrun` started, by Gloo on the CPU and NCCL between GPUs; leave them at the end.

    Does nothing if `torchrun` did not start this process, or if it has joined already.

    >>> with start():
    ...     size(), rank()
    (1, 0)
    """
    if not os.environ.keys() >= {"RANK", "WORLD_SIZE"} or (dist.is_available() and dist.is_initialized()):
        yield
        return
    gpus = torch.cuda.is_available()
    if gpus:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()
        gc.collect()  # a model in a cycle holds the group, and Gloo's threads at the interpreter's end may abort it


def size() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, from 0 to size() − 1."""
    return dist.get_rank() if size() > 1 else 0


def device() -> str:
    """Return this process's own GPU, or the CPU if there is none."""
    return f"cuda:{os.environ.get('LOCAL_RANK', rank())}" if torch.cuda.is_available() else "cpu"


def own(seed: int) -> int:
    """Return a seed that differs from process to process; process 0 has `seed` itself."""
    return (seed + 1_000_003 * rank()) % 2**63


def share(batch: Tensor) -> Tensor:
    """Return this process's part of a batch (B, …), the rank-th of size() parts."""
    return batch.chunk(size())[rank()]


def same(tensor: Tensor) -> Tensor:
    """Give the tensor the values that it has in process 0, and return it."""
    if size() > 1:
        values = tensor.detach().contiguous()
        dist.broadcast(values, 0)
        tensor.detach().copy_(values)
    return tensor


def gathered(value) -> list:
    """Return the values of all processes, in order of rank; anything that can be pickled."""
    values = [value] * size()
    if size() > 1:
        dist.all_gather_object(values, value)
    return values


def mean(values: list[float]) -> list[float]:
    """Return the mean over the processes of each number, with the same bits in each of them."""
    return values if size() == 1 else [sum(each) / size() for each in zip(*gathered(values))]


def first_alone(action: Callable, *arguments) -> None:
    """Call action(*arguments) in process 0 while the others wait; an error there is raised in all.

    An OSError is raised as it is, in the others all else as RuntimeError.
    """
    error = None
    if rank() == 0:
        try:
            action(*arguments)
        except Exception as caught:
            if size() == 1:
                raise
            error = caught
    told = error if error is None or isinstance(error, OSError) else RuntimeError(f"in process 0: {error!r}")
    if told := gathered(told)[0]:
        raise error or told


def averaging(model: nn.Module, loss: Callable) -> Callable:
    """Return `loss`, a function with the parameters of `model`, such that slopes are means over the processes.

    That is for the parameters that need gradients now, each of which the loss must depend on. All parameters and
    buffers take the values that they have in process 0.
    """
    return loss if size() == 1 else DistributedDataParallel(_Loss(model, loss))


class _Loss(nn.Module):
    """The loss as a forward pass, the only one that DistributedDataParallel knows."""

    def __init__(self, model, loss):
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, *arguments, **more):
        return self.loss(*arguments, **more)
