"""What a run shows to people."""

from medtap.report.contact_sheet import contact_sheet

__all__ = ["contact_sheet"]
