/** The status page as one HTML text, and what a browser may do with it: nothing from elsewhere, no frames. */
import { createHash } from 'node:crypto';
import { PAGE_SCRIPT } from './page-script';
import { PAGE_STYLE } from './page-style';

export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>prefork</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<header>
<h1 id="title">prefork</h1>
<p id="subtitle">connecting …</p>
<p id="link" class="waiting" role="status">connecting</p>
</header>
<main>
<section id="tiles" aria-label="Now"></section>
<section id="charts" aria-label="The last minutes"></section>
<section id="processes" aria-label="Processes">
<table>
<thead><tr>
<th>ID</th><th>Kind</th><th>PID</th><th class="text">Stage</th><th>Up</th><th>Restarts</th><th>Req/s</th>
<th>Busy</th><th>ms/req</th><th>Queue</th><th>Running</th><th>RSS</th><th>PSS</th><th class="text">Busy, last minute</th>
</tr></thead>
<tbody id="rows"></tbody>
</table>
</section>
</main>
<noscript>This page draws with JavaScript. The numbers are at /status.json and /metrics.</noscript>
<script>${PAGE_SCRIPT}</script>
</body>
</html>
`;

export const PAGE_POLICY = [
  "default-src 'none'",
  `script-src '${hashOf(PAGE_SCRIPT)}'`,
  `style-src '${hashOf(PAGE_STYLE)}'`,
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}
