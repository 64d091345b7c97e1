import { once } from 'node:events';
import {
  lstatSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { binding } from '../../../lib/binding';
import { nextGeneration } from '../../../lib/ipc/generation';
import { ListeningSocket } from '../../../lib/ipc/listening-socket';
import { thrownBy } from '../fake-kernel';

const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;

function flagsOf(fd: number): number {
  const info = readFileSync(`/proc/self/fdinfo/${String(fd)}`, 'utf8');
  return Number.parseInt(/^flags:\s*(\d+)/m.exec(info)?.[1] ?? '', 8);
}

describe('ListeningSocket', () => {
  const open: ListeningSocket[] = [];
  let folder: string;

  const tcp = (host: string, port: number, backlog?: number): ListeningSocket => {
    const socket = ListeningSocket.tcp(host, port, backlog);
    open.push(socket);
    return socket;
  };
  const unix = (path: string): ListeningSocket => {
    const socket = ListeningSocket.unix(path);
    open.push(socket);
    return socket;
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'prefork-'));
  });
  afterEach(() => {
    for (const socket of open.splice(0)) socket.close();
    rmSync(folder, { recursive: true });
  });

  /** Connects a client and accepts it; closes both. */
  async function acceptOne(
    socket: ListeningSocket,
    target: { host: string; port: number } | { path: string },
  ): Promise<number> {
    const client = connect(target);
    await once(client, 'connect');
    const fd = socket.accept() ?? -1;
    const flags = flagsOf(fd);
    binding.closeFd(fd);
    client.destroy();
    return flags;
  }

  describe('tcp', () => {
    it('tells the port that the kernel has chosen', () => {
      const socket = tcp('127.0.0.1', 0);
      expect(socket.port).to.be.within(1, 65535);
      expect(socket.address).to.equal(`127.0.0.1:${String(socket.port)}`);
    });

    it('accepts a client; the fds are non-blocking and closed on exec', async () => {
      const socket = tcp('0.0.0.0', 0);
      const flags = await acceptOne(socket, { host: '127.0.0.1', port: Number(socket.port) });
      for (const found of [flags, flagsOf(socket.fd)]) {
        expect(found & (O_NONBLOCK | O_CLOEXEC)).to.equal(O_NONBLOCK | O_CLOEXEC);
      }
    });

    it('accept() gives null when nobody has connected', () => {
      expect(tcp('127.0.0.1', 0).accept()).to.equal(null);
    });

    it('localhost is 127.0.0.1', () => {
      const socket = tcp('localhost', 0);
      expect(socket.address).to.equal(`127.0.0.1:${String(socket.port)}`);
    });

    it(':: takes IPv4 and IPv6 clients', async function () {
      const hasV6 = Object.values(networkInterfaces()).some((all) =>
        all?.some(({ family }) => family === 'IPv6'),
      );
      if (!hasV6) this.skip();
      const socket = tcp('::', 0);
      const port = Number(socket.port);
      expect(socket.address).to.equal(`[::]:${String(port)}`);
      await acceptOne(socket, { host: '127.0.0.1', port });
      await acceptOne(socket, { host: '::1', port });
    });

    it('can listen again at once on a port that had connections', async () => {
      const first = tcp('127.0.0.1', 0);
      const port = Number(first.port);
      await acceptOne(first, { host: '127.0.0.1', port });
      first.close();
      expect(tcp('127.0.0.1', port).port).to.equal(port);
    });

    it('EADDRINUSE names call and address', () => {
      const { address, port } = tcp('127.0.0.1', 0);
      const error = thrownBy(() => tcp('127.0.0.1', Number(port)), 'EADDRINUSE');
      expect(error).to.have.property('syscall').that.is.oneOf(['bind', 'listen']);
      expect(error).to.have.property('errno').that.is.below(0);
      expect(error.message).to.include(address);
    });

    it('EADDRNOTAVAIL for an address of another machine, and no fd is left', () => {
      const before = readdirSync('/proc/self/fd').length;
      const error = thrownBy(() => tcp('203.0.113.1', 0), 'EADDRNOTAVAIL');
      expect(error.message).to.include('203.0.113.1:0');
      expect(readdirSync('/proc/self/fd')).to.have.length(before);
    });

    it('refuses names, and ports and backlogs out of range', () => {
      const { message } = thrownBy(() => tcp('example.org', 80), 'ERR_OUT_OF_RANGE');
      expect(message).to.include('"example.org"').and.to.include('not looked up');
      thrownBy(() => tcp('', 80), 'ERR_OUT_OF_RANGE');
      thrownBy(() => tcp(1 as never, 80), 'ERR_INVALID_ARG_TYPE');
      for (const port of [-1, 65536, 1.5]) {
        thrownBy(() => tcp('127.0.0.1', port), 'ERR_OUT_OF_RANGE');
      }
      thrownBy(() => tcp('127.0.0.1', 0, 65536), 'ERR_OUT_OF_RANGE');
    });

    it('has no file to remove', () => {
      expect(tcp('127.0.0.1', 0).unlink()).to.equal(false);
    });
  });

  describe('unix', () => {
    const path = (): string => join(folder, 'pool.sock');

    it('accepts a client; the fds are non-blocking and closed on exec', async () => {
      const socket = unix(path());
      expect(socket).to.include({ address: `unix:${path()}`, port: null });
      const flags = await acceptOne(socket, { path: path() });
      for (const found of [flags, flagsOf(socket.fd)]) {
        expect(found & (O_NONBLOCK | O_CLOEXEC)).to.equal(O_NONBLOCK | O_CLOEXEC);
      }
    });

    it('its file has mode 0600 whatever the umask is', () => {
      const umask = process.umask(0);
      try {
        unix(path());
      } finally {
        process.umask(umask);
      }
      expect(lstatSync(path()).mode & 0o7777).to.equal(0o600);
    });

    it('replaces the file of a socket that nobody listens on', async () => {
      unix(path()).close();
      expect(lstatSync(path()).isSocket()).to.equal(true);
      const socket = unix(path());
      await acceptOne(socket, { path: path() });
    });

    it('EADDRINUSE when somebody listens, whose socket goes on', async () => {
      const first = unix(path());
      const error = thrownBy(() => unix(path()), 'EADDRINUSE');
      expect(error).to.have.property('syscall', 'bind');
      expect(error.message).to.include(path());
      binding.closeFd(first.accept() ?? -1);
      await acceptOne(first, { path: path() });
    });

    it("EADDRINUSE when another program's server listens", async () => {
      const server = createServer().listen(path());
      await once(server, 'listening');
      thrownBy(() => unix(path()), 'EADDRINUSE');
      server.close();
    });

    it('EADDRINUSE for a file that is no socket, and for a link: both stay', () => {
      writeFileSync(path(), 'precious');
      thrownBy(() => unix(path()), 'EADDRINUSE');
      expect(readFileSync(path(), 'utf8')).to.equal('precious');
      const link = join(folder, 'link');
      unix(join(folder, 'stale')).close();
      symlinkSync(join(folder, 'stale'), link);
      thrownBy(() => unix(link), 'EADDRINUSE');
      expect(lstatSync(link).isSymbolicLink()).to.equal(true);
    });

    it('ENOENT without the folder, and no fd is left', () => {
      const before = readdirSync('/proc/self/fd').length;
      thrownBy(() => unix(join(folder, 'none', 'pool.sock')), 'ENOENT');
      expect(readdirSync('/proc/self/fd')).to.have.length(before);
    });

    it('takes a path of 107 bytes and refuses longer, empty and broken ones', () => {
      const fitting = join(folder, 'x'.repeat(106 - folder.length));
      expect(fitting).to.have.length(107);
      unix(fitting);
      const { message } = thrownBy(() => unix(`${fitting}x`), 'ERR_OUT_OF_RANGE');
      expect(message).to.include('107').and.to.include('108');
      thrownBy(() => unix(''), 'ERR_OUT_OF_RANGE');
      thrownBy(() => unix('a\0b'), 'ERR_OUT_OF_RANGE');
      thrownBy(() => unix(1 as never), 'ERR_INVALID_ARG_TYPE');
    });

    it('unlink() removes the file, once', () => {
      const socket = unix(path());
      expect(socket.unlink()).to.equal(true);
      expect(readdirSync(folder)).to.deep.equal([]);
      expect(socket.unlink()).to.equal(false);
    });

    it('unlink() leaves the file of somebody else who took the path', () => {
      const socket = unix(path());
      renameSync(path(), join(folder, 'moved'));
      unix(path());
      expect(socket.unlink()).to.equal(false);
      expect(readdirSync(folder).sort()).to.deep.equal(['moved', 'pool.sock']);
    });

    it('unlink() removes it also after the working directory has changed', () => {
      const before = process.cwd();
      process.chdir(folder);
      try {
        const socket = unix('relative.sock');
        process.chdir(before);
        expect(socket.unlink()).to.equal(true);
      } finally {
        process.chdir(before);
      }
    });

    it('unlink() does nothing in a forked process or after close()', () => {
      const inherited = unix(path());
      nextGeneration();
      expect(inherited.unlink()).to.equal(false);
      const closed = unix(join(folder, 'closed'));
      closed.close();
      expect(closed.unlink()).to.equal(false);
      expect(readdirSync(folder).sort()).to.deep.equal(['closed', 'pool.sock']);
    });
  });

  it('close() closes its fd, once', () => {
    const socket = tcp('127.0.0.1', 0);
    const { fd } = socket;
    socket.close();
    expect(socket).to.include({ fd: -1, closed: true });
    thrownBy(() => binding.dup(fd), 'EBADF');
    socket.close();
  });
});
