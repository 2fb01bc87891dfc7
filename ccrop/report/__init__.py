"""One HTML file about a run or a comparison: no server, no network, readable on a phone."""

from ccrop.report.report import report_of, write_after_run, write_report

__all__ = ["report_of", "write_after_run", "write_report"]
