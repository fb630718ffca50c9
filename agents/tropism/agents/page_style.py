"""What the suite's HTML pages share of their style: light and dark, from a phone to a wide screen.

A page adds its own rules behind these.
"""

PALETTE = 8
"""Colours ``--c0`` to ``--c7``, safe for the colour-blind (Okabe & Ito 2008, https://jfly.uni-koeln.de/color/)."""

CSS = """
:root { color-scheme: light dark;
  --page: #fbfbfa; --card: #fff; --text: #1d2125; --soft: #63696f; --rule: #e2e3e1; --ref: #767c82;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #b3568b; --c4: #a97b00; --c5: #2b8fc9; --c6: #7b5ea7;
  --c7: #5f6b2d; }
@media (prefers-color-scheme: dark) { :root {
  --page: #14171a; --card: #1c2024; --text: #e7e9ea; --soft: #a0a7ad; --rule: #33393f; --ref: #8f979e;
  --c0: #56b4e9; --c1: #f08a3c; --c2: #2cc79b; --c3: #e295c1; --c4: #e6b422; --c5: #7cc7f2; --c6: #b79be3;
  --c7: #b3c06a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 20px 16px 48px; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 8px 0 2px; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 6px; }
p { margin: 6px 0; }
.soft, .note { color: var(--soft); }
.note { font-size: .87rem; }
.warning { border-left: 3px solid var(--c1); padding: 4px 10px; }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 16px;
  margin: 16px 0; }
.scroll { overflow-x: auto; }
.scroll:focus-visible, summary:focus-visible { outline: 2px solid var(--c0); outline-offset: 2px; border-radius: 4px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .82rem; }
th, td { border-bottom: 1px solid var(--rule); }
td.n, th.n { text-align: right; white-space: nowrap; }
.interval { color: var(--soft); font-size: .82rem; }
.plot { width: 100%; max-width: 460px; height: auto; display: block; font-size: 11px; }
.grid { stroke: var(--rule); stroke-width: 1; }
.axis { stroke: var(--soft); stroke-width: 1; }
.tick { fill: var(--soft); }
.label { paint-order: stroke; stroke: var(--card); stroke-width: 3px; stroke-linejoin: round; }
details { margin-top: 10px; }
summary { cursor: pointer; color: var(--soft); }
code { font: .86em ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; margin: 8px 0; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
@media (max-width: 640px) { body { font-size: 14px; } section { padding: 12px; }
  dl { grid-template-columns: 1fr; gap: 0 0; } dd { margin-bottom: 8px; } }
"""
