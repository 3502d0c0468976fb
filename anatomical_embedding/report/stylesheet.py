"""The look of the page: readable on a phone and on a wide screen, by day and by night, and on paper."""

STYLESHEET = """
:root {
  --paper: #ffffff; --ink: #1b1f24; --quiet: #57606a; --faint: #d0d7de; --raised: #f6f8fa;
  --ours: #e7f0ff; --accent: #0b57d0;
  --series-0: #0b57d0; --series-1: #b35900; --series-2: #1a7f37; --series-3: #8250df;
  --series-4: #a0111f; --series-5: #57606a; --series-6: #9a6700; --series-7: #0e7490;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0f1318; --ink: #e6edf3; --quiet: #9aa5b1; --faint: #333b45; --raised: #181e25;
    --ours: #15294a; --accent: #8ab4f8;
    --series-0: #8ab4f8; --series-1: #ffa657; --series-2: #57d364; --series-3: #d2a8ff;
    --series-4: #ff7b72; --series-5: #9aa5b1; --series-6: #e3b341; --series-7: #56d4dd;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1rem clamp(0.75rem, 3vw, 2rem) 4rem; max-width: 72rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", Arial, sans-serif;
}
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0.5rem 0; }
h2 {
  font-size: 1.25rem; margin: 2.5rem 0 0.5rem; padding-bottom: 0.25rem;
  border-bottom: 1px solid var(--faint);
}
h3 { font-size: 1.05rem; margin: 1.25rem 0 0.25rem; }
h3, figcaption, summary, caption { overflow-wrap: anywhere; }
a { color: var(--accent); }
p { max-width: 48rem; margin: 0.5rem 0; overflow-wrap: anywhere; }
.note, figcaption, caption, small { color: var(--quiet); }
.note, figcaption, caption { font-size: 0.875rem; }
figure { margin: 0.75rem 0; }
details { margin: 0.75rem 0; }
summary { cursor: pointer; font-weight: 600; }
pre {
  overflow: auto; max-height: 30rem; padding: 0.75rem; background: var(--raised);
  border-radius: 6px; font-size: 0.8rem; line-height: 1.4;
}

.scroll { overflow-x: auto; margin: 0.75rem 0; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: 0.35rem; }
th, td {
  padding: 0.35rem 0.6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--faint);
}
tbody th { font-weight: 400; }
th, td { overflow-wrap: break-word; max-width: 22rem; }
.number { text-align: right; white-space: nowrap; }
td small { display: block; font-size: 0.75rem; }
thead th, thead th.number { vertical-align: bottom; border-bottom: 2px solid var(--faint); white-space: normal; }
thead button { all: unset; cursor: pointer; font-weight: 600; }
thead button:hover { color: var(--accent); text-decoration: underline; }
th[aria-sort="ascending"] button::after { content: " \\2191"; }
th[aria-sort="descending"] button::after { content: " \\2193"; }
tr.ours { background: var(--ours); }
tr.ours th { font-weight: 600; }
.tag {
  margin-left: 0.5rem; padding: 0.05rem 0.4rem; border: 1px solid var(--accent); border-radius: 999px;
  color: var(--accent); font-size: 0.7rem; font-weight: 400; white-space: nowrap;
}

.charts {
  display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20.5rem), 1fr));
}
.charts svg { width: 100%; height: auto; }
.legend {
  display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; margin: 0.5rem 0; padding: 0; list-style: none;
  font-size: 0.875rem;
}
.legend svg { width: 36px; margin-right: 0.4rem; stroke-width: 2px; }

.example { padding: 0.75rem; border: 1px solid var(--faint); border-radius: 8px; }
.example figcaption { color: var(--ink); font-size: 0.95rem; }
.halves {
  display: grid; gap: 0.75rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
}
.half-title { margin: 0.25rem 0; font-size: 0.8rem; color: var(--quiet); }
.planes { display: grid; grid-template-columns: repeat(3, 1fr); gap: 4px; }
.planes svg { display: block; width: 100%; height: auto; background: #000000; }
.mark { fill: none; stroke-width: 2px; vector-effect: non-scaling-stroke; }
.mark.query { stroke: #ffe14d; }
.mark.match { stroke: #ff9833; }
.mark.truth { stroke: #4dff88; }
.arrow { stroke-width: 1.2px; vector-effect: non-scaling-stroke; }
.arrow line { vector-effect: non-scaling-stroke; }
.arrow.agrees { stroke: #4dff88; fill: #4dff88; }
.arrow.differs { stroke: #ff6b6b; fill: #ff6b6b; }
.key { padding: 0 0.3rem; border-radius: 3px; background: #1b1f24; }
.key.query { color: #ffe14d; }
.key.match { color: #ff9833; }
.key.truth, .key.agrees { color: #4dff88; }
.key.differs { color: #ff6b6b; }

:focus-visible, thead button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
@media print { .scroll { overflow: visible; } .example { break-inside: avoid; } }
"""
