"""Benchmarks of cost and accuracy, each a configuration of `configs/benchmark`."""

from medtap.benchmarks.run import run_benchmark

__all__ = ["run_benchmark"]
