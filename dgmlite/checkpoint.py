"""The file in which a training run is kept: whole or not at all, checked when it is read."""

import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn


class Checkpoint:
    """One safetensors file, replaced as a whole, that belongs to one model, one data set and one choice of settings.

    The model counts by its structure, the data (`train` and `valid`, tensors each) by their values, `settings` by what
    JSON makes of them. Tensors lie in the file under "part: name"; the rest is JSON in its header, beside the SHA-256
    of it all. Raises ValueError if `path` is a folder.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Checkpoint(folder + "/run.safetensors", {"lr": 0.1}, nn.Linear(2, 1), [torch.ones(5, 2)], [])
    ...     file.write({"best": {"bias": torch.ones(1)}}, {"step": 3})
    ...     parts, scalars = file.read()
    >>> parts["best"]["bias"], scalars
    (tensor([1.]), {'step': 3})
    """

    def __init__(
        self,
        path: str | os.PathLike,
        settings: dict,
        model: nn.Module,
        train: Sequence[Tensor],
        valid: Sequence[Tensor],
    ):
        self.path = Path(path)
        if self.path.is_dir():
            raise ValueError(f"checkpoint must name a file, {path} is a folder; give {self.path / 'run.safetensors'}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        structure = re.sub("0x[0-9a-f]+", "", repr(model))  # addresses differ between processes
        shapes = [(k, tuple(tensor.shape), str(tensor.dtype)) for k, tensor in model.state_dict().items()]
        digests = {"model": _digest({}, f"{structure} {shapes}")}
        digests |= {"train": _digest(dict(enumerate(train))), "valid": _digest(dict(enumerate(valid)))}
        self.settings = json.loads(json.dumps(settings | digests))

    def read(self) -> tuple[dict[str, dict[str, Tensor]], dict] | None:
        """Return (part → name → tensor, scalars), or None if there is no file.

        Raises ValueError for a file that is damaged or of another run, and leaves it alone.
        """
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                text, digest = file.metadata()["scalars"], file.metadata()["sha256"]
                tensors = {k: file.get_tensor(k).clone() for k in file.keys()}
            if digest != _digest(tensors, text):
                raise ValueError("its contents have changed since it was written")
            scalars = json.loads(text)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"checkpoint {self.path} is damaged or not one of fit's ({error}); delete it to start afresh"
            ) from error
        before = scalars.pop("settings")
        if different := [k for k in self.settings if before.get(k) != self.settings[k]]:
            raise ValueError(
                f"checkpoint {self.path} belongs to another run: {', '.join(different)} differ; "
                "continue with what it was written with, or choose another file"
            )
        parts = defaultdict(dict)
        for key, tensor in tensors.items():
            part, name = key.rsplit(": ", 1)
            parts[part][name] = tensor
        return parts, scalars

    def write(self, parts: dict[str, dict[str, Tensor]], scalars: dict) -> None:
        """Write a new file beside the old one, then let it take the old one's place in a single operation.

        Raises OSError, for a full disk for example; the file is then as it was.
        """
        tensors = {f"{part}: {name}": tensor for part, group in parts.items() for name, tensor in group.items()}
        tensors = {k: tensor.detach().to("cpu", copy=True).contiguous() for k, tensor in tensors.items()}
        text = json.dumps(scalars | {"settings": self.settings})
        unfinished = self.path.with_name(self.path.name + ".tmp")
        try:
            with open(unfinished, "wb") as file:
                file.write(save(tensors, {"scalars": text, "sha256": _digest(tensors, text)}))
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, self.path)
        except OSError as error:
            reason = f"{error.strerror}: the checkpoint was not written, the one before it is as it was"
            raise OSError(error.errno, reason, str(self.path)) from error
        finally:
            unfinished.unlink(missing_ok=True)


def _digest(tensors, text=""):
    sha = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        sha.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return sha.hexdigest()
