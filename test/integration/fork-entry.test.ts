import { resolve } from 'node:path';
import { expect } from 'chai';
import { runFixture, type FixtureOptions } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

interface Entries {
  parent: string[];
  child: string[];
}

async function run(name: string, options: FixtureOptions = {}): Promise<Entries> {
  const { code, stdout, stderr } = await runFixture(`fork/${name}`, options);
  expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
  return JSON.parse(stdout) as Entries;
}

const TS_NODE = ['-r', 'ts-node/register'];
const TS_PROJECT = resolve(__dirname, '../fixtures/fork/tsconfig.json');

describe('fork: start() at the top level of', () => {
  assertNothingLeaks();

  it('a CommonJS script', async () => {
    const { child } = await run('start-in.js', { args: ['top-level'] });
    expect(child).to.deep.equal(['callback', 'own timer']);
  });

  it('an ES module', async () => {
    expect(await run('entry-sync.mjs')).to.deep.equal({
      parent: ['after start', 'pending microtask', 'reaped 7'],
      child: ['callback'],
    });
  });

  it('an ES module with top-level await before and after it', async () => {
    expect(await run('entry.mjs')).to.deep.equal({
      parent: ['after start', 'answer 42', 'before start', 'function', 'reaped 7'],
      child: ['callback'],
    });
  });

  it('an ES module that another one awaits', async () => {
    const { child } = await run('entry-of-entry.mjs');
    expect(child).to.deep.equal(['callback']);
  });

  it('TypeScript that ts-node transpiles', async () => {
    const env = { TS_NODE_TRANSPILE_ONLY: 'true' };
    expect(await run('entry.ts', { node: TS_NODE, env })).to.deep.equal({
      parent: ['number', 'reaped 7', 'types not checked'],
      child: ['callback'],
    });
  });

  it('TypeScript that ts-node checks', async () => {
    const env = { TS_NODE_PROJECT: TS_PROJECT, TS_NODE_TYPE_CHECK: 'true' };
    expect(await run('entry.ts', { node: TS_NODE, env })).to.deep.equal({
      parent: ['number', 'reaped 7', 'types checked'],
      child: ['callback'],
    });
  });
});
