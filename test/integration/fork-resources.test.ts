import { expect } from 'chai';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const SIBLINGS = 50;

describe('fork: resources of a child', () => {
  assertNothingLeaks();

  it('random values of 50 siblings and their parent are all different', async () => {
    const { stdout, stderr } = await runFixture('fork/siblings.js');
    expect(stderr).to.equal('');
    const drawn = 2 * SIBLINGS + 3;
    const sources = ['uuid', 'int', 'bytes', 'values', 'webUuid', 'mathRandom'];
    const different = Object.fromEntries(sources.map((source) => [source, drawn]));
    expect(JSON.parse(stdout)).to.deep.equal({ drawn, different });
  });

  it('children collect no garbage of a parent that starts many in a row', async () => {
    const { stdout } = await runFixture('fork/many-siblings.js', { node: ['--trace-gc'] });
    const parent = /^parent (\d+)$/m.exec(stdout)?.[1];
    const collecting = [...stdout.matchAll(/^\[(\d+):/gm)].map(([, pid]) => pid);
    expect(collecting, 'the parent does it').to.include(parent);
    // A child that allocates more than it is given room for does: that may be one or two of 300.
    expect(collecting.filter((pid) => pid !== parent)).to.have.length.below(6);
  });

  it('20,000 ArrayBuffers of 1 MB take a bounded part of memory', async () => {
    const { stdout } = await runFixture('fork/many-buffers.js');
    const { made, grownMb } = JSON.parse(stdout) as { made: number; grownMb: number };
    expect(made).to.equal(20_000);
    expect(grownMb).to.be.lessThan(300);
  });

  it('V8 has background threads in a child once code becomes hot there', async () => {
    const { stdout } = await runFixture('fork/hot-code.js');
    const threads = JSON.parse(stdout) as { child: number; parent: number };
    expect(threads.child).to.be.greaterThan(0);
    expect(threads.parent).to.equal(0);
  });
});
