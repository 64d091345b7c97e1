import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';
import { outputPattern, programs, type CodeBlock } from '../support/markdown';
import {
  makeFolder,
  nodeBinaries,
  pack,
  Project,
  succeed,
  type Outcome,
  type Tarball,
} from '../support/package';

const INSTALLATION_LIMIT_MS = 20_000;
const example = programs('README.md')[0] as CodeBlock;
const printed = outputPattern(example.output as string);

/** What a TypeScript project says of its modules. */
const MODULES = {
  node16: { module: 'node16', moduleResolution: 'node16' },
  bundler: { module: 'esnext', moduleResolution: 'bundler' },
};

describe('package: installed in an empty project, without compiler and network', () => {
  assertNothingLeaks();

  let folder: string;
  let tarball: Tarball;
  let project: Project;
  let installation: Outcome;
  let milliseconds: number;

  before(async function () {
    this.timeout(120_000);
    folder = makeFolder();
    tarball = await pack(folder);
    project = new Project();
    const start = performance.now();
    installation = await project.install(tarball);
    milliseconds = performance.now() - start;
  });
  after(() => {
    rmSync(folder, { recursive: true });
    project.remove();
  });

  async function prints(script: string): Promise<void> {
    const { code, signal, stdout, stderr } = await runFixture(script);
    expect({ code, signal }, stderr).to.deep.equal({ code: 0, signal: null });
    expect(stdout).to.match(printed);
    expect(stderr).to.equal('');
  }

  it(`takes less than ${String(INSTALLATION_LIMIT_MS / 1000)} s and brings nothing but itself`, () => {
    expect(installation.code, installation.stderr).to.equal(0);
    expect(milliseconds).to.be.below(INSTALLATION_LIMIT_MS);
    const modules = readdirSync(join(project.folder, 'node_modules'));
    expect(modules.filter((name) => !name.startsWith('.'))).to.deep.equal(['prefork']);
    // What a build would have left.
    expect(existsSync(join(project.installed, '.cache'))).to.equal(false);
  });

  it("runs README's first example: ESM, names imported", async () => {
    expect(example.code).to.include("import { Process } from 'prefork'");
    await prints(project.write('example.mjs', example.code));
  });

  it("runs README's first example: CommonJS", async () => {
    const required = example.code.replace(/^import (.*) from (.*);$/m, 'const $1 = require($2);');
    expect(required).to.include('require(').and.not.include('import');
    await prints(project.write('example.cjs', `(async () => {\n${required}\n})();\n`));
  });

  it('gives all its names to ESM and to CommonJS', async () => {
    const script = project.write(
      'names.mjs',
      `import { createRequire } from 'node:module';
       import { Process, ProcessPool, PreforkError } from 'prefork';
       import * as all from 'prefork';
       const required = createRequire(import.meta.url)('prefork');
       console.log(required.Process === Process, required.ProcessPool === ProcessPool);
       console.log(typeof PreforkError, Object.keys(required).every((name) => name in all));
       console.log(createRequire(import.meta.url)('prefork/package.json').name);`,
    );
    const { stdout, stderr } = await runFixture(script);
    expect(stdout, stderr).to.equal('true true\nfunction true\nprefork\n');
  });

  for (const [resolution, modules] of Object.entries(MODULES)) {
    it(`compiles and runs README's first example: TypeScript, moduleResolution ${resolution}`, async function () {
      this.timeout(120_000);
      const typed = new Project('module');
      try {
        expect((await typed.install(tarball)).code).to.equal(0);
        typed.useNodeTypes();
        const compilerOptions = {
          ...modules,
          target: 'es2022',
          strict: true,
          types: ['node'],
          outDir: 'out',
        };
        typed.write('tsconfig.json', JSON.stringify({ compilerOptions, files: ['example.ts'] }));
        typed.write('example.ts', example.code);
        const { code, stdout } = await typed.compile();
        expect(code, stdout).to.equal(0);
        await prints(join(typed.folder, 'out/example.js'));
      } finally {
        typed.remove();
      }
    });
  }

  it('runs with each Node line that is here and that it has a binary for', async () => {
    const script = project.write('example.mjs', example.code);
    for (const node of nodeBinaries()) {
      const { stdout: abi } = await succeed(node, ['-p', 'process.versions.modules']);
      const binary = `prebuilds/linux-${process.arch}/prefork.abi${abi.trim()}.node`;
      if (node === process.execPath) expect(tarball.contents).to.include(binary);
      if (!tarball.contents.includes(binary)) continue;
      const { stdout } = await succeed(node, [script]);
      expect(stdout, node).to.match(printed);
    }
  });
});
