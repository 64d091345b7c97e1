import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { assertNothingLeaks } from '../support/leaks';
import {
  makeFolder,
  pack,
  pathWithCompiler,
  Project,
  run,
  unpack,
  type Tarball,
} from '../support/package';

const ABI = String(process.versions.modules);
const BINARY = `prebuilds/linux-${process.arch}/prefork.abi${ABI}.node`;
const SCRIPT = "const { Process } = require('prefork'); console.log(typeof Process);";

/** A package whose binary for this Node was replaced or, without a replacement, removed. */
async function packWithBinary(folder: string, replacement?: string): Promise<Tarball> {
  const root = await unpack(await pack(folder), folder);
  rmSync(join(root, BINARY));
  if (replacement !== undefined) writeFileSync(join(root, BINARY), replacement);
  return pack(folder, root);
}

describe('package: no binary fits', () => {
  assertNothingLeaks();

  let folder: string;
  let tarball: Tarball;
  let project: Project;

  before(async function () {
    this.timeout(120_000);
    folder = makeFolder();
    tarball = await packWithBinary(folder);
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });
  beforeEach(() => {
    project = new Project();
  });
  afterEach(() => {
    project.remove();
  });

  it('is built from source at the installation when the binary cannot be loaded', async function () {
    this.timeout(240_000);
    const other = makeFolder();
    try {
      // Such as one of another architecture, or for a newer C library.
      const broken = await packWithBinary(other, 'not a binary');
      const installation = await project.install(broken, { path: pathWithCompiler() });
      expect(installation.code, installation.stderr).to.equal(0);
    } finally {
      rmSync(other, { recursive: true });
    }
    const script = project.write('script.js', SCRIPT);
    expect(await run(process.execPath, [script])).to.include({ code: 0, stdout: 'function\n' });
    expect(existsSync(join(project.installed, '.cache')), 'object files left').to.equal(false);
  });

  it('without a compiler the installation fails and lists what was tried and what to do', async () => {
    const { code, stderr } = await project.install(tarball);
    expect(code).to.equal(1);
    expect(stderr).to.include(
      `no prefork binary fits Node ${process.versions.node} (ABI ${ABI}) on linux-${process.arch}`,
    );
    expect(stderr).to.include(`${BINARY}: not there`);
    expect(stderr).to.match(/build from .*\/native: node-gyp /);
    expect(stderr).to.include('Install Python 3, make, a C++ compiler and npm');
  });

  it('without its installation script it lists every path it has tried and what to do', async () => {
    expect((await project.install(tarball, { scripts: false })).code).to.equal(0);
    const { code, stderr } = await run(process.execPath, [project.write('script.js', SCRIPT)]);
    expect(code).to.equal(1);
    expect(stderr).to.include("code: 'ERR_UNSUPPORTED_NODE'");
    for (const path of [BINARY, 'build/Release/prefork.node']) {
      expect(stderr).to.include(`${join(project.installed, path)}: not there`);
    }
    expect(stderr).to.include('npm rebuild prefork');
    expect(stderr).to.include(join(project.installed, 'scripts/build-native.mjs'));
  });
});
