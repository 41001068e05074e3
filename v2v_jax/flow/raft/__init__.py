"""RAFT (Teed and Deng, 2020): the net of the published weights, and the estimator around it.

params = from_torch("raft_small", read_state_dict("raft-small.pth"))
flow = Raft().apply({"params": params}, first, second)
"""

from v2v_jax.flow.raft.adapter import RaftFlow
from v2v_jax.flow.raft.net import Raft

__all__ = ["Raft", "RaftFlow"]
