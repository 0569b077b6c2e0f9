"""One self-contained page of HTML about results: `collect` reads stores, `page` says what a page consists of, `html` writes it."""

from latentbench.reporting.report.collect import page, write_report

__all__ = ["page", "write_report"]
