import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';
import {
  anchorsOf,
  documents,
  localLinks,
  namedTests,
  outputPattern,
  pathInCheckout,
  programs,
  ROOT,
  shellCommands,
  type CodeBlock,
} from '../support/markdown';

/** Node 20 and ts-node take the language from the file's ending; `js` is CommonJS in this package. */
const nodeOptions: Record<string, string[]> = {
  js: [],
  mjs: [],
  ts: ['--require', require.resolve('ts-node/register')],
};

describe('documents', () => {
  assertNothingLeaks();

  let folder: string;
  // Inside the checkout, so that the name `prefork` means this package.
  before(() => {
    const cache = join(ROOT, '.cache');
    mkdirSync(cache, { recursive: true });
    folder = mkdtempSync(join(cache, 'docs-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  async function run(block: CodeBlock): Promise<void> {
    const name = `${block.file.replaceAll(/\W/g, '-')}-${String(block.line)}.${block.language}`;
    const script = join(folder, name);
    writeFileSync(script, block.code);
    const { code, signal, stdout, stderr, leftFiles } = await runFixture(script, {
      node: nodeOptions[block.language] as string[],
      // What ts-node leaves in the temporary folder otherwise.
      env: { DISABLE_V8_COMPILE_CACHE: '1' },
    });
    expect({ code, signal }, stderr).to.deep.equal({ code: 0, signal: null });
    if (block.output !== null) expect(stdout).to.match(outputPattern(block.output));
    expect(leftFiles, 'files left').to.deep.equal([]);
  }

  it('are all named by the README', () => {
    const named = localLinks('README.md').map(({ target }) => target);
    expect(named).to.include.members(documents().filter((file) => file.startsWith('docs/')));
  });

  for (const file of documents()) {
    describe(file, () => {
      for (const block of programs(file)) {
        const prints = block.output === null ? '' : ' and prints what it says';
        it(`the program in line ${String(block.line)} runs${prints}`, () => run(block));
      }

      it('links to what is there', () => {
        for (const { target } of localLinks(file)) {
          const [path, anchor] = target.split('#') as [string, string?];
          const linked = path === '' ? file : pathInCheckout(file, path);
          expect(existsSync(join(ROOT, linked)), target).to.equal(true);
          if (anchor !== undefined) expect(anchorsOf(linked), target).to.include(anchor);
        }
      });

      it('names tests that are there', () => {
        for (const { path, title } of namedTests(file)) {
          const source = readFileSync(join(ROOT, path), 'utf8');
          expect(source.includes(title.replace(/ …$/, '')), `${path}: ${title}`).to.equal(true);
        }
      });

      it('names npm scripts that are there', () => {
        const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
          scripts: Record<string, string>;
        };
        for (const command of shellCommands(file)) {
          const script =
            /^npm (?:run )?(test|demo|bench|setup|docs|lint|prebuilds|coverage|test:\w+)\b/.exec(
              command,
            )?.[1];
          if (script !== undefined) expect(scripts).to.have.property(script);
        }
      });
    });
  }
});
