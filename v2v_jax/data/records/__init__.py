"""Prepared data sets: one record a frame."""

from v2v_jax.data.records.dataset import RecordSource

__all__ = ["RecordSource"]
