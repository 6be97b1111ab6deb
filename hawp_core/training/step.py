"""One training step as a module: the network with its losses, fused or spread over processes."""

import getpass
import os
import platform
import tempfile
import warnings
from collections.abc import Collection
from pathlib import Path

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from hawp_core.data.batch import Batch
from hawp_core.model.network import WireframeNetwork
from hawp_core.training import losses
from hawp_core.training.batch_norm import GlobalBatchNorm2d, globalise
from hawp_core.training.line_losses import Sampled


def compile_parts(network: WireframeNetwork) -> None:
    """Let torch.compile fuse the operations of the backbone and the heatmap decoder when they first run."""
    # PyTorch's cache finds code by what was compiled, not by the processor that it was compiled for; code of another
    # one ends the process (seen in 2.15). A folder for each kind of processor keeps them apart; PyTorch reads the
    # variable when its compiler is first imported, which is here.
    kind = f"{platform.machine()}-{torch.backends.cpu.get_cpu_capability()}".replace(" ", "-").lower()
    folder = Path(tempfile.gettempdir(), f"torchinductor_{getpass.getuser()}", kind)
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))
    torch._dynamo.config.suppress_errors = True
    for part in (network.backbone, network.heatmap_decoder):
        part.compile()


class TrainingStep(nn.Module):
    """The network with its losses as one module, so that wrappers see a single forward pass.

    Args:
        wanted: names of the losses that are computed.
    """

    def __init__(self, network: WireframeNetwork, wanted: Collection[str] = losses.NAMES) -> None:
        super().__init__()
        self.network, self.wanted = network, wanted
        self.norms = [module for module in network.modules() if isinstance(module, GlobalBatchNorm2d)]

    def forward(self, batch: Batch, counted: bool = True, sampled: Sampled | None = None) -> dict[str, torch.Tensor]:
        """Unweighted losses of a batch; `counted` tells whether its images are part of the step."""
        for norm in self.norms:
            norm.counted = counted
        return losses.compute_losses(self.network, batch, self.wanted, sampled)


def distribute(network: WireframeNetwork, wanted: Collection[str] = losses.NAMES) -> nn.Module:
    """The training step of one of several processes: gradients are averaged over them, batch statistics are common."""
    globalise(network)
    # No loss reaches them; the wrapper would wait for their gradients.
    for part in losses.unreached(network, wanted):
        part.requires_grad_(False)
    with warnings.catch_warnings():
        # PyTorch 2.15 gives the option another name, which older ones do not know.
        warnings.simplefilter("ignore", FutureWarning)
        # Running statistics are the same everywhere, being computed from the same numbers.
        return DistributedDataParallel(TrainingStep(network, wanted), broadcast_buffers=False)
