"""The style sheet of the report: that of all pages, and its own rules."""

from tropism.agents.page_style import CSS as SHARED

CSS = (
    SHARED
    + """
th, td { padding: 5px 8px 5px 0; white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
td.plot-cell { min-width: 110px; width: 34%; }
tr.reference { color: var(--soft); }
.whisker { width: 100%; height: 16px; display: block; overflow: visible; }
.track { stroke: var(--rule); stroke-width: 1; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(290px, 1fr)); gap: 8px 20px;
  margin-top: 12px; }
.title { fill: var(--soft); }
@media (max-width: 640px) { .wide { display: none; } td.plot-cell { min-width: 56px; }
  th, td { padding-right: 6px; } }
"""
)
