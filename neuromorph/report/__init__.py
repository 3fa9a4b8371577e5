"""Plots of graphs and recordings, the report of a run folder, the page of a validation. Needs matplotlib and jinja2 (extra "report")."""

from neuromorph.report.page import write_report
from neuromorph.report.validation import write_validation

__all__ = ["write_report", "write_validation"]
