"""Many support sets on one base network: adapted in one loop, and served from one pool."""

from medtap.many.adaptation import take_many_peeks
from medtap.many.pool import AdapterPool

__all__ = ["AdapterPool", "take_many_peeks"]
