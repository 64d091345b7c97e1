import { expect } from 'chai';
import * as index from '../../lib/index';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const NAMES = Object.keys(index).sort();

interface Loaded {
  atFirst: string[];
  folders: string[];
  again: boolean;
  names: string[];
}

describe("require('prefork')", () => {
  assertNothingLeaks();

  it('has the names of the index', async () => {
    const { stdout } = await runFixture('entry/lazy.js');
    expect((JSON.parse(stdout) as Loaded).names.sort()).to.deep.equal(NAMES);
  });

  it('loads what is used, when it is used', async () => {
    const { stdout, stderr } = await runFixture('entry/lazy.js');
    const { atFirst, folders, again } = JSON.parse(stdout) as Loaded;
    expect(stderr).to.equal('');
    expect(atFirst).to.deep.equal(['main.js']);
    expect(folders).to.include('process').and.not.include('pool').and.not.include('server');
    expect(again).to.equal(true);
  });

  it('can be imported name by name from an ES module', async () => {
    const { stdout } = await runFixture('entry/module.mjs');
    const own = ['MessageSocket', 'PreforkError', 'Process', 'ProcessPool', 'Server'];
    const { names, ...rest } = JSON.parse(stdout) as { own: string[]; names: string[] };
    expect(rest).to.deep.equal({ own });
    expect(names.filter((name) => name !== '__esModule')).to.deep.equal(NAMES);
  });

  for (const name of ['Process', 'ProcessPool', 'Server']) {
    it(`compiles ${name} ahead, but nothing of Node, whose code cache V8 would refuse`, async () => {
      const { stdout } = await runFixture('entry/compile-ahead.js', { args: [name] });
      const flags = ['--no-lazy', '--lazy'];
      expect(JSON.parse(stdout)).to.deep.equal({ flags, ofNode: [] });
    });
  }

  it('leaves --no-lazy of the command line as it is', async () => {
    const options = { args: ['Process'], node: ['--no-lazy'] };
    const { stdout } = await runFixture('entry/compile-ahead.js', options);
    expect((JSON.parse(stdout) as { flags: string[] }).flags).to.deep.equal([]);
  });
});
