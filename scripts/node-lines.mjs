// The Node lines the package supports: installs each one's binary and builds the addon for it.
//
//   node scripts/node-lines.mjs     prints one "<major> <path of the binary>" per line

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildNative } from './build-native.mjs';
import { withLock } from './lock.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
/** The newest release of each line; all releases of a line have one ABI. */
const pinned = ['20.20.2', '22.23.3', '24.21.0', '26.10.0'];

function installedVersion(folder) {
  try {
    return JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')).version;
  } catch {
    return undefined;
  }
}

function installNode(name, version, prefix) {
  fs.rmSync(prefix, { recursive: true, force: true });
  fs.mkdirSync(prefix, { recursive: true });
  const args = ['install', '--prefix', prefix, '--no-save', '--no-package-lock'];
  args.push('--ignore-scripts', '--no-audit', '--no-fund', `${name}@${version}`);
  const result = spawnSync('npm', args, { cwd: prefix, stdio: ['ignore', 2, 2] });
  if (result.error) throw result.error;
  if (result.status !== 0) throw new Error(`installing ${name}@${version} failed`);
}

/** A Node line from the npm registry; the package holds the binary and its headers. */
function fetchLine(major, version) {
  const name = `node-linux-${process.arch}`;
  const prefix = path.join(root, '.cache/node-lines', major);
  const folder = path.join(prefix, 'node_modules', name);
  if (installedVersion(folder) !== version) installNode(name, version, prefix);
  return { major, version, node: path.join(folder, 'bin/node'), nodedir: folder };
}

/** All supported lines, ready to run; the running Node stands for its own line. */
export function nodeLines() {
  return pinned.map((version) => {
    const [major] = version.split('.');
    const running = process.versions.node.startsWith(`${major}.`);
    const line = running
      ? { major, version: process.versions.node, node: process.execPath, nodedir: undefined }
      : fetchLine(major, version);
    buildNative({ node: line.node, nodedir: line.nodedir });
    return line;
  });
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    for (const { major, node } of await withLock(root, nodeLines)) console.log(`${major} ${node}`);
  } catch (error) {
    console.error(`node-lines: ${error.message}`);
    process.exitCode = 1;
  }
}
