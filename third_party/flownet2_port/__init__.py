"""FlowNet2 (Ilg et al., 2017) in Flax, with the semantics of NVIDIA/flownet2-pytorch.

    params = params_from_torch(state_dict)                        # of FlowNet2_checkpoint.pth.tar
    flow = FlowNet2().apply({"params": params}, first, second)    # RGB 0-255, sides multiples of 64

Plain XLA operations only, so it runs on CPU, GPU and TPU, and it is differentiable.  On GPU and TPU
JAX's default precision of float32 convolutions costs 1e-3 of the flow; for upstream's values set
``jax_default_matmul_precision`` to "highest".  Licence: see LICENSE and NOTICE beside this file.
"""

from flownet2_port.correlation import correlate
from flownet2_port.flownet2 import FlowNet2, stand_alone_flow
from flownet2_port.networks import FlowNetC, FlowNetFusion, FlowNetS, FlowNetSD
from flownet2_port.resampling import channel_norm, resample
from flownet2_port.torch_names import params_from_torch

__all__ = [
    "FlowNet2",
    "FlowNetC",
    "FlowNetFusion",
    "FlowNetS",
    "FlowNetSD",
    "channel_norm",
    "correlate",
    "params_from_torch",
    "resample",
    "stand_alone_flow",
]
