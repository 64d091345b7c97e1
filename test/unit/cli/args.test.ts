import { expect } from 'chai';
import { parseCommand } from '../../../lib/cli/args';
import { CommandError } from '../../../lib/cli/client';

describe('command line', () => {
  const errorOf = (...argv: string[]): CommandError => {
    try {
      parseCommand(argv);
    } catch (error) {
      if (error instanceof CommandError) return error;
      throw error;
    }
    throw new Error(`accepted: ${argv.join(' ')}`);
  };

  it('has defaults', () => {
    expect(parseCommand(['top'])).to.deep.equal({
      ...{ command: 'top', target: undefined, json: false, intervalMs: 1000, count: Infinity },
      ...{ onlyTasks: false, wait: true, timeoutMs: 10_000 },
    });
    expect(parseCommand(['stop']).timeoutMs).to.equal(60_000);
    expect(parseCommand(['reload']).timeoutMs).to.equal(60_000);
  });

  it('takes a target and options, in any order', () => {
    const argv = ['reload', '--tasks', '12', '--no-wait', '--timeout', '5', '--json'];
    expect(parseCommand(argv)).to.include({
      ...{
        command: 'reload',
        target: '12',
        onlyTasks: true,
        wait: false,
        timeoutMs: 5,
        json: true,
      },
    });
    expect(parseCommand(['top', '--interval=100', '--count', '3'])).to.include({
      ...{ intervalMs: 100, count: 3 },
    });
  });

  it('help and version need nothing else', () => {
    for (const argv of [['--help'], ['-h'], ['help'], ['top', '--help']]) {
      expect(parseCommand(argv).command).to.equal('help');
    }
    expect(parseCommand(['-v']).command).to.equal('version');
  });

  it('that is wrong says what it should be', () => {
    const cases: [string, RegExp][] = [
      ['', /^which command\?\n\nUsage/],
      ['restart', /^there is no command "restart"/],
      ['top 1 2', /^one target, not also 2/],
      ['top --interval 99', /^--interval is a number from 100 to 60000/],
      ['top --count 0', /^--count is a number from 1 /],
      ['stop --timeout -1', /timeout/],
      ['top --frobnicate', /frobnicate/],
    ];
    for (const [line, message] of cases) {
      const error = errorOf(...line.split(' ').filter(Boolean));
      expect(error.message).to.match(message);
      expect(error.exitCode).to.equal(2);
    }
  });
});
