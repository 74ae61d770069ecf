"""The version, in the one place that packaging, bundles and manifests read."""

__version__ = "0.1.0"
