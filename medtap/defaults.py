"""What commands, bundles and benchmarks take where they are told nothing else."""

NETWORK = "medtap-tiny"
"""The embedded network that a support set is given to."""
