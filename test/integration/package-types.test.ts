import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { assertNothingLeaks } from '../support/leaks';
import { ROOT } from '../support/markdown';
import { makeFolder, pack, Project } from '../support/package';

const TYPE_TESTS = join(ROOT, 'test/types');

/** The ways a project may find the package's declarations, and the language's strictest settings. */
const MODULES = {
  node16: { module: 'node16', moduleResolution: 'node16' },
  bundler: { module: 'esnext', moduleResolution: 'bundler' },
};
const STRICT = {
  target: 'es2022',
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  // Declarations are checked too, also for types they do not declare.
  skipLibCheck: false,
  types: ['node'],
  noEmit: true,
};

describe('package: types', () => {
  assertNothingLeaks();

  let folder: string;
  let project: Project;

  before(async function () {
    this.timeout(120_000);
    folder = makeFolder();
    project = new Project();
    expect(await project.install(await pack(folder))).to.have.property('code', 0);
    project.useNodeTypes();
  });
  after(() => {
    rmSync(folder, { recursive: true });
    project.remove();
  });

  for (const [resolution, modules] of Object.entries(MODULES)) {
    it(`are those of the type tests: moduleResolution ${resolution}`, async function () {
      this.timeout(120_000);
      for (const type of ['commonjs', 'module']) copyTypeTests(project, type);
      project.write(
        'tsconfig.json',
        JSON.stringify({
          compilerOptions: { ...STRICT, ...modules },
          include: ['commonjs', 'module'],
        }),
      );
      const { code, stdout } = await project.compile();
      expect(code, stdout).to.equal(0);
    });
  }
});

/** ES modules want the ending of a file that they import; CommonJS takes it as well. */
function copyTypeTests(project: Project, type: string): void {
  project.write(join(type, 'package.json'), JSON.stringify({ type }));
  for (const name of readdirSync(TYPE_TESTS)) {
    const text = readFileSync(join(TYPE_TESTS, name), 'utf8');
    project.write(join(type, name), text.replaceAll("'./assert'", "'./assert.js'"));
  }
}
