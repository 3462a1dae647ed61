"""Make book/_static/first_samples.png, the picture on the README and the start page: python tools/first_samples.py"""

from pathlib import Path

import matplotlib
import torch
import torch.nn.functional as F

from dgmlite import plotting
from dgmlite.data import digits
from dgmlite.models.autoregressive import MADE
from dgmlite.training import fit

matplotlib.use("Agg")
plotting.house_style()
data = digits()
counts = F.one_hot(data.train.x, data.levels).sum(0) + 0.1
torch.manual_seed(0)
noise = torch.multinomial(counts.reshape(64, data.levels), 14, replacement=True).T.reshape(14, 1, 8, 8)
model = MADE(event_shape=(1, 8, 8), levels=data.levels)
fit(model, data.train, data.valid, epochs=40, patience=5, lr=4e-3, average=0.99)
ax = plotting.images(torch.cat([data.test.x[:14], noise, model.sample(14)]), data.levels, columns=14)
path = Path(__file__).resolve().parents[1] / "book" / "_static" / "first_samples.png"
path.parent.mkdir(parents=True, exist_ok=True)
ax.figure.savefig(path, dpi=110)
print(path.name, path.stat().st_size, "bytes")
