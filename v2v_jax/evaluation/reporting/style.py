"""The report's style sheet."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5d6778; --line: #dde2ea; --page: #f5f6f9;
  --card: #fff; --accent: #2f62c9; --good: #1b7f4b; --bad: #c0262d; --warn: #8a5a00;
  --warn-page: #fff3d6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7eaf0; --soft: #9aa5b8; --line: #333c4c;
  --page: #12161d; --card: #1b212b; --accent: #7fa7ff; --good: #57c98c; --bad: #ff7b7b;
  --warn: #ffd27a; --warn-page: #3a2f14; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 24px 64px; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 14px; margin-bottom: 18px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 19px; margin: 40px 0 12px; padding-bottom: 6px; border-bottom: 1px solid
  var(--line); }
h3 { font-size: 14px; margin: 20px 0 8px; color: var(--soft); font-weight: 600; }
header dl { display: flex; flex-wrap: wrap; gap: 4px 26px; margin: 0; flex-basis: 100%; }
header dt { display: inline; color: var(--soft); } header dd { display: inline; margin: 0 0 0 6px;
  font-weight: 600; }
.badge { padding: 3px 12px; border-radius: 99px; color: var(--card); font-weight: 600;
  font-size: 13px; }
.badge.good { background: var(--good); } .badge.bad { background: var(--bad); }
.note { background: var(--warn-page); color: var(--warn); border-left: 4px solid currentColor;
  border-radius: 4px; padding: 10px 14px; margin: 10px 0; }
.note strong { text-transform: uppercase; font-size: 12px; letter-spacing: .06em;
  margin-right: 8px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 12px;
  margin-top: 20px; }
.card { background: var(--card); border: 1px solid var(--line); border-top: 4px solid;
  border-radius: 8px; padding: 12px 16px; }
.card.good { border-top-color: var(--good); } .card.bad { border-top-color: var(--bad); }
.state { font-size: 12px; font-weight: 700; } .good .state { color: var(--good); }
.bad .state, .bad .figure { color: var(--bad); }
.figure { font-size: 30px; font-weight: 650; line-height: 1.25; }
.name { font-weight: 600; line-height: 1.35; } .limit { color: var(--soft); font-size: 13px; }
figure { margin: 0; } figcaption { color: var(--soft); font-size: 13px; margin-top: 4px; }
.clip { margin-bottom: 16px; } .clip img, .clip video { width: 100%; border-radius: 6px;
  display: block; image-rendering: pixelated; }
.columns { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: 6px;
  text-align: center; }
.picture { margin: 0 14px 14px 0; } .picture img { width: 100%; display: block;
  border-radius: 4px; image-rendering: pixelated; }
.picture.single { display: inline-block; width: calc(33.3% - 14px); vertical-align: top; }
.wide { overflow-x: auto; margin-bottom: 20px; background: var(--card); border: 1px solid
  var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 10px 14px; }
th, td { padding: 6px 10px; text-align: right; border-top: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; line-height: 1.3; }
th:first-child, td:first-child { text-align: left; padding-left: 14px; }
thead tr + tr th:first-child { text-align: right; padding-left: 10px; }
th.group { text-align: center; border-left: 1px solid var(--line); border-right: 1px solid
  var(--line); } thead tr + tr th { border-top: 0; padding-top: 0; font-weight: 400; }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 12px; }
.curves figure { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 8px 10px 2px; }
.curves figcaption { display: flex; justify-content: space-between; margin: 0 4px 2px;
  overflow-wrap: anywhere; }
.curves b { color: var(--ink); } svg { width: 100%; display: block; }
.grid { stroke: var(--line); } .tick { fill: var(--soft); font-size: 10px; }
.faint { fill: none; stroke: var(--accent); opacity: .3; } .dot { fill: var(--accent); }
.bold { fill: none; stroke: var(--accent); stroke-width: 2; stroke-linejoin: round; }
.config { columns: 2 380px; column-gap: 32px; font: 12.5px/1.6 ui-monospace, "DejaVu Sans Mono",
  monospace; }
.config dl { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 0 12px;
  margin: 0 0 14px; break-inside: avoid; }
.config dt { color: var(--soft); overflow-wrap: anywhere; } .config dd { margin: 0;
  overflow-wrap: anywhere; }
"""
