"""Orgo's hosted desktops. The key comes from `ORGO_API_KEY`, the address from `ORGO_API_BASE`, or as arguments."""

from deskhand.sync import OrgoProvider

__all__ = ["OrgoProvider"]
