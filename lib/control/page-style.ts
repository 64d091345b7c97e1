/** The style sheet of the status page. Series have the same colour everywhere, in both themes. */
export const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --line: #e3e6ea; --grid: #eceef1;
  --ink: #1b1f24; --soft: #5b6570; --faint: #8a939d;
  --s1: #2a6fdb; --s2: #0f9d8a; --s3: #d9822b; --s4: #8b5cf6; --bad: #c93c37; --good: #1f883d;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #111417; --card: #191d21; --line: #2b3137; --grid: #252a30;
    --ink: #e8ebee; --soft: #a4adb6; --faint: #76808a;
    --s1: #5b9bff; --s2: #33c2ac; --s3: #f0a04b; --s4: #a98bff; --bad: #ff7b72; --good: #4ac26b;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 20px 24px 40px; max-width: 1280px;
  background: var(--page); color: var(--ink);
  font: 14px/1.45 system-ui, sans-serif; font-variant-numeric: tabular-nums;
}
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 14px; margin-bottom: 16px; }
h1 { margin: 0; font-size: 20px; font-weight: 600; }
header p { margin: 0; color: var(--soft); }
#link { margin-left: auto; font-weight: 500; }
#link::before {
  content: ""; display: inline-block; width: 8px; height: 8px; margin-right: 6px;
  border-radius: 50%; background: var(--good);
}
#link.waiting::before { background: var(--bad); }
#tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 12px; }
#charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 12px; margin: 12px 0; }
.tile, .chart, #processes {
  background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px;
}
.tile h2, .chart h2 { margin: 0; font-size: 12px; font-weight: 500; color: var(--soft); }
.tile p { margin: 2px 0 0; font-size: 22px; font-weight: 600; white-space: nowrap; }
.tile small { font-size: 12px; font-weight: 400; color: var(--faint); }
.chart { position: relative; min-width: 0; }
.chart .head { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 2px 12px; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 12px; margin: 0; padding: 0; list-style: none; font-size: 12px; }
.legend i { display: inline-block; width: 10px; height: 3px; margin: 0 5px 3px 0; border-radius: 2px; }
.legend b { font-weight: 600; }
svg { display: block; width: 100%; height: 150px; margin-top: 8px; overflow: visible; }
svg text { fill: var(--faint); font-size: 11px; }
svg .grid { stroke: var(--grid); stroke-width: 1; }
svg .hair { stroke: var(--faint); stroke-width: 1; }
svg path { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
svg .fill { stroke: none; opacity: .12; }
.s1 { stroke: var(--s1); fill: var(--s1); background: var(--s1); }
.s2 { stroke: var(--s2); fill: var(--s2); background: var(--s2); }
.s3 { stroke: var(--s3); fill: var(--s3); background: var(--s3); }
.s4 { stroke: var(--s4); fill: var(--s4); background: var(--s4); }
svg path.s1, svg path.s2, svg path.s3, svg path.s4 { fill: none; }
svg path.fill.s1 { fill: var(--s1); }
#processes { overflow-x: auto; padding: 4px 6px; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: 5px 8px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--grid); }
th { font-size: 12px; font-weight: 500; color: var(--soft); }
th:nth-child(2), td:nth-child(2), .text { text-align: left; }
tbody tr:last-child td { border-bottom: 0; }
td.dim { color: var(--faint); }
td svg { height: 22px; width: 140px; margin: 0; }
.stage::before {
  content: ""; display: inline-block; width: 8px; height: 8px; margin-right: 6px;
  border-radius: 50%; background: var(--faint);
}
.stage.busy::before { background: var(--s1); }
.stage.idle::before { background: var(--good); }
.stage.starting::before, .stage.draining::before { background: var(--s3); }
.stage.none::before { background: var(--bad); }
`;
