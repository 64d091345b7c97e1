/** Ports of a server whose sockets exist only in the fake kernel. */
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import type { PortOptions } from '../../../lib/server/port-settings';
import { ServerPort, type SockType } from '../../../lib/server/port';
import type { FakeKernel } from '../fake-kernel';

/** What the kernel chooses for port 0. */
export const CHOSEN_PORT = 40_000;

/** Call it after `fakeKernel()`. */
export function fakeSockets(kernel: FakeKernel): void {
  const bound = (_address: string, port: number): [number, number] => [
    kernel.openFd(),
    port === 0 ? CHOSEN_PORT : port,
  ];
  sinon.stub(binding, 'listenTcp').callsFake(bound);
  sinon.stub(binding, 'udpBind').callsFake(bound);
  sinon.stub(binding, 'setBacklog');
}

/** One of a server that runs. */
export function makePort(
  options: PortOptions = {},
  type: SockType = 'tcp',
  port = 9501,
): ServerPort {
  const made = new ServerPort(type.endsWith('6') ? '::1' : '127.0.0.1', port, type, () => false);
  made.resolve(options);
  return made;
}
