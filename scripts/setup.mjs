// Makes a checkout ready to run: dependencies, addon, compiled library. Does only what is missing, and
// waits for another that does the same.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildNative } from './build-native.mjs';
import { withLock } from './lock.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (result.error) throw result.error;
  if (result.status !== 0) {
    throw new Error(`${command} ${args.join(' ')} failed (${result.signal ?? result.status})`);
  }
}

function readJson(file) {
  try {
    return JSON.parse(fs.readFileSync(path.join(root, file), 'utf8'));
  } catch {
    return undefined;
  }
}

/** npm keeps a lockfile of what it really installed; comparing with it needs no stamp of ours. */
function dependenciesInstalled() {
  const wanted = readJson('package-lock.json')?.packages;
  const present = readJson('node_modules/.package-lock.json')?.packages;
  if (!wanted || !present) return false;
  return Object.entries(wanted).every(
    ([name, { version, optional, devOptional, peer }]) =>
      name === '' || optional || devOptional || peer || present[name]?.version === version,
  );
}

function installDependencies() {
  if (dependenciesInstalled()) return;
  // Without scripts, because the addon is built below in any case.
  const args = ['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund'];
  const cli = process.env.npm_execpath;
  if (cli?.endsWith('npm-cli.js')) run(process.execPath, [cli, ...args]);
  else run('npm', args);
}

function libraryHash() {
  const hash = createHash('sha256');
  const files = ['tsconfig.json', 'package-lock.json'];
  for (const folder of ['lib', 'typings']) {
    if (!fs.existsSync(path.join(root, folder))) continue;
    for (const name of fs.readdirSync(path.join(root, folder), { recursive: true }).sort()) {
      if (name.endsWith('.ts')) files.push(path.join(folder, name));
    }
  }
  for (const file of files) {
    hash
      .update(`${file}\0`)
      .update(fs.readFileSync(path.join(root, file)))
      .update('\0');
  }
  return hash.digest('hex');
}

/** What a set-up has left that was killed. */
function removeUnfinished() {
  const cache = path.join(root, '.cache');
  fs.mkdirSync(cache, { recursive: true });
  for (const name of fs.readdirSync(cache).filter((entry) => entry.startsWith('dist-'))) {
    fs.rmSync(path.join(cache, name), { recursive: true, force: true });
  }
}

function compileLibrary() {
  const stamp = path.join(root, 'dist/.stamp');
  const hash = libraryHash();
  if (fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === hash) return;
  // From nothing, so that files whose source is gone do not stay behind; and beside the old one, so that
  // programs that run meanwhile find the library.
  const fresh = path.join(root, '.cache', `dist-${process.pid}`);
  const old = path.join(root, '.cache', `dist-old-${process.pid}`);
  const dist = path.join(root, 'dist');
  run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', '.', '--outDir', fresh]);
  fs.writeFileSync(path.join(fresh, '.stamp'), hash);
  if (fs.existsSync(dist)) fs.renameSync(dist, old);
  fs.renameSync(fresh, dist);
  fs.rmSync(old, { recursive: true, force: true });
}

function setUp() {
  installDependencies();
  buildNative();
  removeUnfinished();
  compileLibrary();
}

try {
  await withLock(root, setUp);
} catch (error) {
  console.error(`setup: ${error.message}`);
  process.exitCode = 1;
}
