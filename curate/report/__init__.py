"""The report: one offline HTML file that shows what came in, what was picked and why, and how the learners do."""

from curate.report.data import ReportData
from curate.report.render import render

__all__ = ["ReportData", "render"]
