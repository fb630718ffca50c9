"""Benchmarks: suites as data, metrics, statistics, the ledger, reports, and the ``tropism`` command."""

__version__ = "0.1.0"
