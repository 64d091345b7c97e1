// Builds the addon for every supported Node line, into prebuilds/linux-<arch>, and checks what the package
// will bring: each binary is loaded by its Node, stripped, and asks for no newer glibc than Node itself.
//
//   node scripts/prebuild.mjs [--max-glibc 2.28]

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildNative, loadFailure } from './build-native.mjs';
import { withLock } from './lock.mjs';
import { nodeLines } from './node-lines.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** The oldest library that Node's own binaries run on. */
const NODE_GLIBC = '2.28';
const NODE_GLIBCXX = '3.4.25'; // The libstdc++ of a system of that age, GCC 8's.

function readelf(option, file) {
  const result = spawnSync('readelf', [option, '--wide', file], { encoding: 'utf8' });
  if (result.error) throw result.error;
  if (result.status !== 0) throw new Error(`readelf ${option} ${file}: ${result.stderr}`);
  return result.stdout;
}

function newest(versions) {
  return versions.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1) ?? '0';
}

/** The newest versions a binary asks for. */
function needs(file) {
  const text = readelf('--version-info', file);
  const all = (library) =>
    [...text.matchAll(new RegExp(`\\b${library}_([\\d.]+)`, 'g'))].map(([, version]) => version);
  return { glibc: newest(all('GLIBC')), glibcxx: newest(all('GLIBCXX')) };
}

function problems(node, file, maxGlibc) {
  const found = [];
  const { glibc, glibcxx } = needs(file);
  const failure = loadFailure(node, file);
  if (failure !== undefined) found.push(`cannot be loaded: ${failure}`);
  if (readelf('--section-headers', file).includes('.symtab')) found.push('is not stripped');
  if (newest([glibc, maxGlibc]) !== maxGlibc) found.push(`needs glibc ${glibc}, not ${maxGlibc}`);
  if (newest([glibcxx, NODE_GLIBCXX]) !== NODE_GLIBCXX) found.push(`needs GLIBCXX_${glibcxx}`);
  return found.map((problem) => `${path.relative(root, file)} ${problem}`);
}

/** Binaries of Node lines that are supported no more, and what a killed build has left. */
function removeOthers(files) {
  const folder = path.dirname(files[0]);
  for (const name of fs.readdirSync(folder)) {
    const file = path.join(folder, name);
    if (!files.includes(file)) fs.rmSync(file);
  }
}

function prebuild(maxGlibc) {
  const lines = nodeLines().map((line) => ({ ...line, file: buildNative(line) }));
  removeOthers(lines.map(({ file }) => file));
  const found = lines.flatMap(({ node, file }) => problems(node, file, maxGlibc));
  if (found.length > 0) throw new Error(found.join('\n'));
  for (const { version, file } of lines) {
    const { size } = fs.statSync(file);
    console.error(
      `${path.relative(root, file)}: Node ${version}, ${size} bytes, glibc ${needs(file).glibc}`,
    );
  }
}

try {
  const { values } = parseArgs({
    options: { 'max-glibc': { type: 'string', default: NODE_GLIBC } },
  });
  await withLock(root, () => prebuild(values['max-glibc']));
} catch (error) {
  console.error(`prebuild: ${error.message}`);
  process.exitCode = 1;
}
