"""How fast dgmlite is beside others: python -m benchmarks [NAME …]; what the GPU reaches: python -m benchmarks.roofline

Each module but `turns`, `page` and `roofline` is a benchmark: `run(rounds)` yields its rows, see `turns.row`.
"""

NAMES = (
    "autoregressive_step",
    "flow_step",
    "vae_step",
    "diffusion_step",
    "gan_step",
    "fit_overhead",
    "data_loading",
    "sampling",
)
