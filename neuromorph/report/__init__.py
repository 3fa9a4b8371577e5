"""Plots of graphs and recordings, and the HTML report of a run folder. Needs matplotlib and jinja2 (extra "report")."""

from neuromorph.report.page import write_report

__all__ = ["write_report"]
