/** The command line of `prefork`. */
import { parseArgs } from 'node:util';
import { CommandError } from './client';

export const USAGE = `Usage: prefork <command> [target] [options]

  top      shows what a pool or server does, live; without a terminal as lines
  status   shows it once
  list     shows which pools and servers of this user run
  reload   replaces the workers, and waits until that is done
  stop     ends the pool or server, and waits until that is done

The target is the pid of its master, a file that holds it, or its control
socket. It can be left out when there is only one. The pool or server needs the
option controlSocket.

  --json             snapshots as JSON, one a line
  --interval <ms>    top: how often it looks, 100 to 60000; default 1000
  --count <n>        top: so many lines or snapshots, then it ends
  --tasks            reload: task workers only
  --no-wait          reload, stop: only asks for it
  --timeout <ms>     how long to wait for it; default 60000 for reload and stop,
                     10000 for an answer to the others
  -h, --help
  -v, --version
`;

const COMMANDS = ['top', 'status', 'list', 'reload', 'stop'] as const;
export type CommandName = (typeof COMMANDS)[number] | 'help' | 'version';

export interface Arguments {
  command: CommandName;
  target: string | undefined;
  json: boolean;
  intervalMs: number;
  /** Infinity: on and on. */
  count: number;
  onlyTasks: boolean;
  wait: boolean;
  timeoutMs: number;
}

/** Replacing and ending workers takes as long as their requests do; a look at them does not. */
const WAIT_MS = 60_000;
const ANSWER_MS = 10_000;

/** @throws CommandError with exit code 2 */
export function parseCommand(argv: readonly string[]): Arguments {
  const { values, positionals } = parsed(argv);
  const [name, target, ...more] = positionals;
  if (more.length > 0) throw misuse(`one target, not also ${more.join(' ')}`);
  const command = commandOf(name, values);
  const waitMs = command === 'reload' || command === 'stop' ? WAIT_MS : ANSWER_MS;
  return {
    command,
    target,
    json: values.json ?? false,
    intervalMs: integer('interval', values.interval ?? '1000', 100, 60_000),
    count: values.count === undefined ? Infinity : integer('count', values.count, 1, 1e9),
    onlyTasks: values.tasks ?? false,
    wait: !(values['no-wait'] ?? false),
    timeoutMs: integer('timeout', values.timeout ?? String(waitMs), 0, 0x7fffffff),
  };
}

function parsed(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        json: { type: 'boolean' },
        interval: { type: 'string' },
        count: { type: 'string' },
        tasks: { type: 'boolean' },
        'no-wait': { type: 'boolean' },
        timeout: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean', short: 'v' },
      },
    });
  } catch (error) {
    throw misuse((error as Error).message);
  }
}

function commandOf(
  name: string | undefined,
  { help, version }: { help?: boolean; version?: boolean },
): CommandName {
  if (help === true || name === 'help') return 'help';
  if (version === true) return 'version';
  const found = COMMANDS.find((command) => command === name);
  if (found !== undefined) return found;
  throw misuse(name === undefined ? 'which command?' : `there is no command "${name}"`);
}

function integer(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw misuse(`--${name} is a number from ${min} to ${max}`);
}

function misuse(message: string): CommandError {
  return new CommandError(`${message}\n\n${USAGE}`, 2);
}
