/** The package as its users get it: packed by npm, and installed in a project of its own. */
import { execFile } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { RUN_MARK, runId } from './fixture';
import { ROOT } from './markdown';

const TIMEOUT_MS = 240_000;

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

export interface Tarball {
  /** Its path. */
  file: string;
  /** In bytes. */
  size: number;
  /** The paths in it. */
  contents: string[];
}

/** Runs a program to its end, whatever that is. */
export function run(
  command: string,
  args: string[],
  { cwd = ROOT, env = process.env }: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const options = { cwd, env: { ...env, [RUN_MARK]: runId }, timeout: TIMEOUT_MS };
    execFile(command, args, options, (error, stdout, stderr) => {
      if (error === null) resolve({ code: 0, stdout, stderr });
      else if (typeof error.code === 'number') resolve({ code: error.code, stdout, stderr });
      else reject(error);
    });
  });
}

/** {@link run} of a program that must not fail. */
export async function succeed(...args: Parameters<typeof run>): Promise<Outcome> {
  const outcome = await run(...args);
  if (outcome.code === 0) return outcome;
  throw new Error(`${args[0]} ${args[1].join(' ')}: ${outcome.stdout}${outcome.stderr}`);
}

/** The script of the npm that runs the tests, or of the one in PATH; the Nodes tested bring none. */
function npmScript(): string {
  const running = process.env['npm_execpath'];
  if (running?.endsWith('npm-cli.js') === true) return running;
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const npm = join(folder, 'npm');
    if (existsSync(npm)) return realpathSync(npm);
  }
  throw new Error('there is no npm in PATH');
}

export function makeFolder(): string {
  return mkdtempSync(join(tmpdir(), 'prefork-package-'));
}

/** An environment in which npm has no cache, no settings, and this Node first in PATH. */
function npmEnvironment(home: string, path: string): NodeJS.ProcessEnv {
  const settings = /^npm_|^NODE_OPTIONS$|^INIT_CWD$/i;
  const kept = Object.entries(process.env).filter(([name]) => !settings.test(name));
  return {
    ...Object.fromEntries(kept),
    HOME: home,
    PATH: path,
    npm_config_cache: join(home, 'cache'),
    npm_config_update_notifier: 'false',
  };
}

/**
 * A PATH of nothing but this Node and a shell: no compiler, no Python, no make, no npm. Node is a copy,
 * because the build looks for tools beside the real one, which may be in /usr/bin.
 */
export function pathWithoutCompiler(folder: string): string {
  const bin = join(folder, 'bin');
  if (existsSync(bin)) return bin;
  mkdirSync(bin);
  try {
    linkSync(process.execPath, join(bin, 'node'));
  } catch {
    copyFileSync(process.execPath, join(bin, 'node'));
  }
  symlinkSync('/bin/sh', join(bin, 'sh'));
  return bin;
}

export function pathWithCompiler(): string {
  return [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter);
}

/** Packs what set-up has built: at least the binary of the Node that runs the tests. */
export async function pack(destination: string, source = ROOT): Promise<Tarball> {
  const args = [npmScript(), 'pack', '--json', '--ignore-scripts'];
  const { stdout } = await succeed(
    process.execPath,
    [...args, '--pack-destination', destination, source],
    { cwd: destination, env: npmEnvironment(destination, pathWithCompiler()) },
  );
  const [packed] = JSON.parse(stdout) as [
    { filename: string; size: number; files: { path: string }[] },
  ];
  return {
    file: join(destination, packed.filename),
    size: packed.size,
    contents: packed.files.map(({ path }) => path),
  };
}

/** Unpacks a tarball into `folder`/package. */
export async function unpack(tarball: Tarball, folder: string): Promise<string> {
  await succeed('tar', ['-xzf', tarball.file, '-C', folder]);
  return join(folder, 'package');
}

/** A project outside the checkout. */
export class Project {
  readonly folder = makeFolder();
  readonly installed = join(this.folder, 'node_modules/prefork');
  readonly #home = makeFolder();

  constructor(type: 'commonjs' | 'module' = 'commonjs') {
    this.write('package.json', JSON.stringify({ name: 'project', private: true, type }));
  }

  write(name: string, text: string): string {
    const file = join(this.folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    return file;
  }

  /** Without network: npm may not ask for one, and its cache is empty. */
  install(tarball: Tarball, { path, scripts = true }: { path?: string; scripts?: boolean } = {}) {
    const args = [npmScript(), 'install', '--offline', '--no-audit', '--no-fund'];
    if (!scripts) args.push('--ignore-scripts');
    return run(process.execPath, [...args, tarball.file], {
      cwd: this.folder,
      env: npmEnvironment(this.#home, path ?? pathWithoutCompiler(this.#home)),
    });
  }

  /** Takes the declarations of Node from the checkout. */
  useNodeTypes(): void {
    const types = join(this.folder, 'node_modules/@types');
    mkdirSync(types, { recursive: true });
    symlinkSync(join(ROOT, 'node_modules/@types/node'), join(types, 'node'));
  }

  /** Compiles with tsconfig.json. */
  compile(): Promise<Outcome> {
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    return run(process.execPath, [tsc, '-p', this.folder], { cwd: this.folder });
  }

  remove(): void {
    for (const folder of [this.folder, this.#home]) rmSync(folder, { recursive: true });
  }
}

/** The Node lines that scripts/node-lines.mjs has brought here; the one that runs the tests is one of them. */
export function nodeBinaries(): string[] {
  const lines = join(ROOT, '.cache/node-lines');
  const majors = existsSync(lines) ? readdirSync(lines).sort() : [];
  const name = `node-linux-${process.arch}`;
  const found = majors
    .map((major) => join(lines, major, 'node_modules', name, 'bin/node'))
    .filter((binary) => existsSync(binary) && binary !== process.execPath);
  return [process.execPath, ...found];
}
