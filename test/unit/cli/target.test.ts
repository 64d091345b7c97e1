import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import sinon from 'sinon';
import { CommandError } from '../../../lib/cli/client';
import { findSocket } from '../../../lib/cli/target';

describe('target of a command', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'prefork-test-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
    sinon.restore();
  });

  it('that is nothing of the kind is told without a stack', () => {
    const file = join(folder, 'file');
    writeFileSync(file, 'hello');
    const cases: [string, RegExp][] = [
      [join(folder, 'none'), /none: no such file$/],
      [file, /file: this is neither a control socket nor a file with a pid$/],
      [folder, /^EISDIR: /],
      [join(file, 'below'), /^ENOTDIR: /],
      ['4194305', /^there is no process 4194305$/],
      [String(process.pid), /^process \d+ has no control socket: .* controlSocket: true, or name/],
    ];
    for (const [target, message] of cases) {
      expect(() => findSocket(target)).to.throw(CommandError, message);
    }
  });

  it("that is another user's is told as that", () => {
    const own = process.getuid?.() ?? 0;
    sinon.stub(process, 'getuid').returns(own + 1);
    expect(() => findSocket(String(process.pid))).to.throw(
      CommandError,
      `process ${String(process.pid)} belongs to another user (uid ${String(own)})`,
    );
  });
});
