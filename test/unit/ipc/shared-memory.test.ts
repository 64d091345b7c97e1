import { constants } from 'node:buffer';
import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { SharedMemory } from '../../../lib/ipc/shared-memory';
import { thrownBy } from '../fake-kernel';

describe('SharedMemory', () => {
  afterEach(() => {
    sinon.restore();
  });

  it('is zero at first and keeps what is written', () => {
    const { buffer } = new SharedMemory(24);
    const cells = new BigInt64Array(buffer);
    expect([...cells]).to.deep.equal([0n, 0n, 0n]);
    expect(Atomics.add(cells, 1, 5n)).to.equal(0n);
    expect(Atomics.compareExchange(cells, 1, 5n, -1n)).to.equal(5n);
    expect([...cells]).to.deep.equal([0n, -1n, 0n]);
  });

  it('gives each object pages of its own', () => {
    const [a, b] = [new SharedMemory(4), new SharedMemory(4)];
    new Int32Array(a.buffer)[0] = 1;
    expect(new Int32Array(b.buffer)[0]).to.equal(0);
  });

  it('refuses sizes that are no count of bytes', () => {
    for (const bytes of [0, -1, 1.5, NaN, constants.MAX_LENGTH + 1]) {
      thrownBy(() => new SharedMemory(bytes), 'ERR_OUT_OF_RANGE');
    }
    thrownBy(() => new SharedMemory('1' as never), 'ERR_INVALID_ARG_TYPE');
  });

  it('says that V8 forbids it when the addon was built against a sandbox', () => {
    sinon.stub(binding, 'mapShared').returns(undefined);
    const { message } = thrownBy(() => new SharedMemory(8), 'ERR_UNSUPPORTED_NODE');
    expect(message).to.include('sandbox').and.to.include(process.version);
  });

  it('does not even try when this Node was built with a sandbox', () => {
    const map = sinon.stub(binding, 'mapShared');
    sinon.stub(process, 'config').value({ variables: { v8_enable_sandbox: 1 } });
    thrownBy(() => new SharedMemory(8), 'ERR_UNSUPPORTED_NODE');
    expect(map.called).to.equal(false);
  });
});
