import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { keepFreedMemory } from '../../../lib/ipc/freed-memory';

describe('keepFreedMemory', () => {
  let keep: sinon.SinonStub;
  const env = { ...process.env };
  delete env['MALLOC_TRIM_THRESHOLD_'];
  delete env['MALLOC_MMAP_THRESHOLD_'];

  beforeEach(() => {
    keep = sinon.stub(binding, 'keepFreedMemory');
  });
  afterEach(() => {
    sinon.restore();
  });

  it('tells malloc', () => {
    sinon.stub(process, 'env').value(env);
    keepFreedMemory();
    sinon.assert.calledOnce(keep);
  });

  for (const name of ['MALLOC_TRIM_THRESHOLD_', 'MALLOC_MMAP_THRESHOLD_']) {
    it(`but not where the user says what it shall do: ${name}`, () => {
      sinon.stub(process, 'env').value({ ...env, [name]: '131072' });
      keepFreedMemory();
      sinon.assert.notCalled(keep);
    });
  }
});
