// Builds the addon for one Node binary and puts it at prebuilds/linux-<arch>/prefork.abi<N>.node.
//
//   node scripts/build-native.mjs [--node BINARY] [--nodedir DIR] [--if-missing]
//
// --if-missing is for the installation of the package: the binary it brings is kept if it can be loaded.

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { withLock } from './lock.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

function inspectNode(node) {
  if (node === process.execPath) {
    return { version: process.versions.node, abi: process.versions.modules, arch: process.arch };
  }
  const expression = '[process.versions.node, process.versions.modules, process.arch].join()';
  const [version, abi, arch] = execFileSync(node, ['-p', expression], { encoding: 'utf8' })
    .trim()
    .split(',');
  return { version, abi, arch };
}

function sourceFiles() {
  const inNative = fs
    .readdirSync(path.join(root, 'native'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
  return [path.join(root, 'binding.gyp'), ...inNative.sort()];
}

function sourceHash() {
  const hash = createHash('sha256');
  for (const file of sourceFiles()) {
    hash
      .update(`${path.relative(root, file)}\0`)
      .update(fs.readFileSync(file))
      .update('\0');
  }
  return hash.digest('hex');
}

/** Where an npm may be: the one running us, the one beside this Node, the one found in PATH. */
function* npmFolders() {
  if (process.env.npm_execpath?.endsWith('npm-cli.js')) {
    yield path.resolve(process.env.npm_execpath, '../..');
  }
  yield path.resolve(fs.realpathSync(process.execPath), '../../lib/node_modules/npm');
  const found = spawnSync('npm', ['root', '-g'], { encoding: 'utf8' });
  if (found.status === 0) yield path.join(found.stdout.trim(), 'npm');
}

function findNodeGyp() {
  const configured = process.env.npm_config_node_gyp;
  if (configured && fs.existsSync(configured)) return configured;
  for (const folder of npmFolders()) {
    const candidate = path.join(folder, 'node_modules/node-gyp/bin/node-gyp.js');
    if (fs.existsSync(candidate)) return candidate;
  }
  throw new Error('node-gyp was not found: install npm, or set npm_config_node_gyp to its script');
}

function headersVersion(nodedir) {
  for (const folder of ['include/node', 'src']) {
    const header = path.join(nodedir, folder, 'node_version.h');
    if (!fs.existsSync(header)) continue;
    const text = fs.readFileSync(header, 'utf8');
    return ['MAJOR', 'MINOR', 'PATCH']
      .map((part) => new RegExp(`#define NODE_${part}_VERSION (\\d+)`).exec(text)?.[1])
      .join('.');
  }
  return undefined;
}

/** Headers that belong to exactly this Node; undefined lets node-gyp fetch them. */
function findNodedir(node, version) {
  const candidates = [path.resolve(fs.realpathSync(node), '../..'), process.env.npm_config_nodedir];
  return candidates.find((folder) => folder && headersVersion(folder) === version);
}

/** A folder of symbolic links, so that builds for several Nodes keep their object files apart. */
function prepareBuildFolder(folder) {
  fs.mkdirSync(folder, { recursive: true });
  for (const name of ['binding.gyp', 'native']) {
    const link = path.join(folder, name);
    fs.rmSync(link, { force: true });
    fs.symlinkSync(path.relative(folder, path.join(root, name)), link);
  }
}

function runNodeGyp(node, nodedir, target, folder) {
  const env = { ...process.env };
  // The binary's own folder goes first because binding.gyp calls `node`.
  env.PATH = `${path.dirname(node)}${path.delimiter}${env.PATH ?? ''}`;
  // Settings from a user's npmrc win over node-gyp's arguments and may belong to another Node.
  for (const name of Object.keys(env)) {
    if (/^npm_config_(nodedir|target|runtime|arch)$/i.test(name)) delete env[name];
  }
  const args = [findNodeGyp(), 'configure', 'build', '--release', '--jobs', 'max'];
  args.push('--loglevel', 'warn', `--target=${target}`);
  if (nodedir) args.push(`--nodedir=${nodedir}`);
  // Output goes to stderr, so that callers can keep their own stdout clean.
  const result = spawnSync(node, args, { cwd: folder, env, stdio: ['ignore', 2, 2] });
  if (result.error) throw result.error;
  if (result.status !== 0) {
    throw new Error(`node-gyp failed for Node ${target} (${result.signal ?? result.status})`);
  }
}

/** Renaming keeps the old file alive for processes that have it mapped. */
function installBinary(built, output) {
  fs.mkdirSync(path.dirname(output), { recursive: true });
  const temporary = `${output}.${process.pid}.tmp`;
  fs.copyFileSync(built, temporary);
  fs.renameSync(temporary, output);
}

/** Why this Node cannot load the addon; undefined: it can. In a process of its own, which may crash. */
export function loadFailure(node, addon) {
  if (!fs.existsSync(addon)) return 'not there';
  const script = 'try { require(process.argv[1]) } catch (error) { console.log(error.message) }';
  const { status, signal, stdout } = spawnSync(node, ['-e', script, addon], { encoding: 'utf8' });
  if (stdout) return stdout.trim();
  return status === 0 ? undefined : `the process that loads it ends with ${signal ?? status}`;
}

function outputFor({ abi, arch }) {
  return path.join(root, 'prebuilds', `linux-${arch}`, `prefork.abi${abi}.node`);
}

/** Returns the path of an up-to-date addon for the given Node, building it when needed. */
export function buildNative({ node = process.execPath, nodedir } = {}) {
  const { version, abi, arch } = inspectNode(node);
  const output = outputFor({ abi, arch });
  const folder = path.join(root, '.cache', `native-abi${abi}-${arch}`);
  const stamp = path.join(folder, 'stamp');
  const hash = sourceHash();
  const built = fs.existsSync(output) && fs.existsSync(stamp);
  if (built && fs.readFileSync(stamp, 'utf8') === hash) return output;

  console.error(`Building the addon for Node ${version} (ABI ${abi})`);
  prepareBuildFolder(folder);
  fs.rmSync(stamp, { force: true });
  runNodeGyp(node, nodedir ?? findNodedir(node, version), version, folder);
  installBinary(path.join(folder, 'build/Release/prefork.node'), output);
  fs.writeFileSync(stamp, hash);
  return output;
}

/** In an installed package: nobody builds there again. */
function removeObjectFiles() {
  if (fs.existsSync(path.join(root, 'lib'))) return;
  fs.rmSync(path.join(root, '.cache'), { recursive: true, force: true });
}

function buildIfMissing(options) {
  if (process.platform !== 'linux')
    throw new Error(`prefork needs Linux: this is ${process.platform}`);
  const node = options.node ?? process.execPath;
  const about = inspectNode(node);
  const output = outputFor(about);
  const failure = loadFailure(node, output);
  if (failure === undefined) return;
  try {
    buildNative(options);
    const still = loadFailure(node, output);
    if (still !== undefined) throw new Error(`what was built cannot be loaded: ${still}`);
  } catch (error) {
    throw new Error(nothingFits(about, output, failure, error), { cause: error });
  } finally {
    removeObjectFiles();
  }
}

function nothingFits({ version, abi, arch }, output, failure, error) {
  return [
    `no prefork binary fits Node ${version} (ABI ${abi}) on linux-${arch}, and none could be built. Tried:`,
    `  ${output}: ${failure}`,
    `  build from ${path.join(root, 'native')}: ${error.message}`,
    'Install Python 3, make, a C++ compiler and npm, and then: npm rebuild prefork',
    'Binaries are in the package for Node 20, 22, 24 and 26, for glibc 2.28 and later, not for musl.',
  ].join('\n');
}

async function main() {
  const { values } = parseArgs({
    options: {
      node: { type: 'string' },
      nodedir: { type: 'string' },
      'if-missing': { type: 'boolean', default: false },
    },
  });
  const options = {
    node: values.node && path.resolve(values.node),
    nodedir: values.nodedir && path.resolve(values.nodedir),
  };
  if (values['if-missing']) buildIfMissing(options);
  else await withLock(root, () => buildNative(options));
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    await main();
  } catch (error) {
    console.error(`build-native: ${error.message}`);
    process.exitCode = 1;
  }
}
