import { expect } from 'chai';
import { ServerCallbacks, type PortEvents } from '../../../lib/server/events';
import type { ServerPort, SockType } from '../../../lib/server/port';
import { checkServerCallbacks } from '../../../lib/server/required-callbacks';
import { thrownBy } from '../fake-kernel';

const nothing = (): void => undefined;

/** One with callbacks of its own for these events. */
function port(type: SockType, ...events: (keyof PortEvents)[]): ServerPort {
  const callback = (event: keyof PortEvents) => (events.includes(event) ? nothing : undefined);
  return { type, host: '127.0.0.1', port: 9501, callback } as unknown as ServerPort;
}

function callbacks(...events: string[]): ServerCallbacks {
  const made = new ServerCallbacks();
  for (const event of events) made.set(event, nothing);
  return made;
}

describe('checkServerCallbacks', () => {
  for (const [types, event, other] of [
    [['tcp', 'tcp6', 'unix'], 'receive', 'packet'],
    [['udp', 'udp6', 'unix_dgram'], 'packet', 'receive'],
  ] as const) {
    for (const type of types) {
      it(`a ${type} port needs ${event}: its own, or the server's`, () => {
        checkServerCallbacks([port(type, event)], callbacks(), 0);
        checkServerCallbacks([port(type)], callbacks(event), 0);
        const check = (): void => {
          checkServerCallbacks([port(type, other)], callbacks(other), 0);
        };
        const { message } = thrownBy(check, 'ERR_SERVER_NO_CALLBACK');
        expect(message).to.equal(`a ${event} callback is needed for port 127.0.0.1:9501 (${type})`);
      });
    }
  }

  it('looks at every port', () => {
    const ports = [port('tcp', 'receive'), port('tcp')];
    thrownBy(() => {
      checkServerCallbacks(ports, callbacks(), 0);
    }, 'ERR_SERVER_NO_CALLBACK');
  });

  it('task workers need task', () => {
    const check = (...events: string[]): void => {
      checkServerCallbacks([port('tcp', 'receive')], callbacks(...events), 2);
    };
    expect(thrownBy(check, 'ERR_SERVER_NO_CALLBACK').message).to.equal(
      'a task callback is needed for taskWorkerNum 2',
    );
    check('task');
  });

  it('finish is not needed: a task may have no result', () => {
    checkServerCallbacks([port('tcp', 'receive')], callbacks('task'), 1);
  });
});
