"""The style sheet of the page: that of all pages, and its own rules."""

from tropism.agents.page_style import CSS as SHARED

CSS = (
    SHARED
    + """
p { max-width: 78ch; }
.lead { font-size: 1.1rem; margin: 12px 0; }
th, td { padding: 5px 14px 5px 0; vertical-align: top; }
tr:last-child th, tr:last-child td { border-bottom: 0; }
tbody th { font-weight: 400; color: var(--text); font-size: inherit; }
td.n:last-child, th.n:last-child { padding-right: 0; }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(300px, 100%), 1fr)); gap: 8px 28px; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(290px, 100%), 1fr)); gap: 12px 20px;
  margin-top: 12px; }
svg { font-size: 11px; font-family: inherit; }
.mark { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 2 3; }
.title { fill: var(--text); font-weight: 600; }
.strip { display: grid; grid-template-columns: max-content 1fr; gap: 0 10px; margin-top: 14px; }
.strip svg { display: block; }
.names div { display: flex; flex-direction: column; justify-content: center; font-size: .82rem; line-height: 1.25; }
.names span { color: var(--soft); font-size: .72rem; }
.rule { fill: var(--page); font-weight: 600; font-size: 10px; }
@media (max-width: 640px) { th, td { padding-right: 8px; } .names { max-width: 112px; }
  td .interval { display: block; font-size: .74rem; } }
"""
)
