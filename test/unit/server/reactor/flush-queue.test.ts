import { expect } from 'chai';
import type { Connection } from '../../../../lib/server/reactor/connection';
import { FlushQueue } from '../../../../lib/server/reactor/flush-queue';

function connection(id: number): Connection {
  return { id, dirty: false } as Connection;
}

describe('FlushQueue', () => {
  let flushed: number[];
  let queue: FlushQueue;
  let whileFlushing: (id: number) => void;

  beforeEach(() => {
    flushed = [];
    whileFlushing = () => undefined;
    queue = new FlushQueue(({ id }) => {
      flushed.push(id);
      whileFlushing(id);
    });
  });

  it('sends at once outside a turn', () => {
    const one = connection(1);
    queue.add(one);
    queue.add(one);
    expect(flushed).to.deep.equal([1, 1]);
    expect(one.dirty).to.equal(false);
  });

  it('sends each once at the end of a turn, in the order of their first addition', () => {
    const [one, two] = [connection(1), connection(2)];
    queue.cork();
    for (const added of [two, one, two, one]) queue.add(added);
    expect(flushed).to.deep.equal([]);
    expect([one.dirty, two.dirty]).to.deep.equal([true, true]);
    queue.uncork();
    expect(flushed).to.deep.equal([2, 1]);
    expect([one.dirty, two.dirty]).to.deep.equal([false, false]);
  });

  it('sends at the end of the outermost of nested turns', () => {
    queue.cork();
    queue.cork();
    queue.add(connection(1));
    queue.uncork();
    expect(flushed).to.deep.equal([]);
    queue.uncork();
    expect(flushed).to.deep.equal([1]);
  });

  it('a flush() within a turn sends what is there, and the turn goes on', () => {
    queue.cork();
    queue.add(connection(1));
    queue.flush();
    expect(flushed).to.deep.equal([1]);
    queue.add(connection(2));
    expect(flushed).to.deep.equal([1]);
    queue.uncork();
    expect(flushed).to.deep.equal([1, 2]);
  });

  it('sends those that are added while it sends, too', () => {
    const [one, two] = [connection(1), connection(2)];
    let again = true;
    whileFlushing = (id) => {
      if (id === 1) queue.add(two);
      if (id === 2 && again) {
        again = false;
        queue.add(one);
      }
    };
    queue.cork();
    queue.add(one);
    queue.uncork();
    expect(flushed.filter((id) => id === 1)).to.have.length(2);
    expect(flushed.filter((id) => id === 2)).to.have.length(2);
    expect([one.dirty, two.dirty]).to.deep.equal([false, false]);
  });

  it('of nothing sends nothing', () => {
    queue.flush();
    queue.cork();
    queue.uncork();
    expect(flushed).to.deep.equal([]);
  });
});
