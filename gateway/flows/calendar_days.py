"""The working-day calendar that every deadline of the flows counts by."""

from __future__ import annotations

from gateway.consent.calendar import WorkingDays

DAYS = WorkingDays.load()
