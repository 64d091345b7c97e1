import { expect } from 'chai';
import { decodeError, encodeError, taskFailed } from '../../../../lib/server/task/task-errors';

function travelled(thrown: unknown): unknown {
  const { kind, data } = encodeError(thrown);
  return decodeError(kind, data);
}

describe('the error of a handler', () => {
  it('arrives with name, message, stack and code', () => {
    const error = Object.assign(new RangeError('too far'), { code: 'E_FAR' });
    const { name, message, stack, code } = error;
    expect(travelled(error)).to.be.an('error').and.include({ name, message, stack, code });
  });

  it('arrives with its cause, and the cause of that', () => {
    const root = Object.assign(new TypeError('refused'), { code: 'ECONNREFUSED' });
    const error = new Error('outer', { cause: new Error('inner', { cause: root }) });
    const got = travelled(error) as Error & { cause: Error & { cause: unknown } };
    expect(got.cause).to.include({ message: 'inner' });
    expect(got.cause.cause).to.include({ name: 'TypeError', code: 'ECONNREFUSED' });
  });

  it('arrives with a cause that is no error, as far as that can be cloned', () => {
    expect(travelled(new Error('x', { cause: { n: 1n } }))).to.have.deep.property('cause', {
      n: 1n,
    });
    expect(travelled(new Error('x', { cause: () => 0 }))).to.have.property('cause', '() => 0');
  });

  it('may be its own cause', () => {
    const error = new Error('ring');
    error.cause = error;
    expect(travelled(error)).to.have.property('message', 'ring');
  });

  it('may be anything else that can be cloned', () => {
    for (const thrown of [null, undefined, 5, 'text', { status: 404 }]) {
      expect(travelled(thrown)).to.deep.equal(thrown);
    }
  });

  const withoutText = { toString: 1, valueOf: 1 };
  const throwing = new Error('x');
  Object.defineProperty(throwing, 'message', {
    get() {
      throw new Error('of the getter');
    },
  });
  for (const [what, thrown] of [
    ['what cannot be cloned', Symbol('s')],
    ['what can be neither cloned nor shown', { ...withoutText, inside: () => 0 }],
    ['what cannot be shown', withoutText],
    ['an object without prototype', Object.assign(Object.create(null), { inside: () => 0 })],
    ['an error that throws when it is read', throwing],
  ] as [string, unknown][]) {
    it(`may be ${what}`, () => {
      const error = taskFailed(1, 2, travelled(thrown));
      expect(error).to.include({ code: 'ERR_TASK_FAILED', taskId: 1, workerId: 2 });
    });
  }
});
