"""Writes the report: the answer, charts and tables on one page."""
