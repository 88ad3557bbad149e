"""Both tiers look at one finished demo."""

from tests.support.demo import told_demo

__all__ = ["told_demo"]
