#!/usr/bin/env node
/** The `prefork` command. It loads nothing of the library but what it shares with the control socket. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseCommand, USAGE, type Arguments } from './args';
import { CommandError, ControlClient } from './client';
import { lines, list, reload, status, stop } from './commands';
import { findSocket } from './target';
import { isScreen } from './terminal';
import { Top } from './top';

function print(text: string): void {
  process.stdout.write(text);
}

function warn(text: string): void {
  process.stderr.write(`prefork: ${text}\n`);
}

async function main(argv: readonly string[]): Promise<void> {
  const args = parseCommand(argv);
  if (args.command === 'help') print(USAGE);
  else if (args.command === 'version') print(`${ownVersion()}\n`);
  else if (args.command === 'list') await list(args, print, warn);
  else await withClient(args);
}

async function withClient(args: Arguments): Promise<void> {
  const client = await ControlClient.open(findSocket(args.target));
  try {
    await carryOut(client, args);
  } finally {
    client.close();
  }
}

function carryOut(client: ControlClient, args: Arguments): Promise<void> {
  switch (args.command) {
    case 'status':
      return status(client, args, print);
    case 'reload':
      return reload(client, args, print);
    case 'stop':
      return stop(client, args, print);
    default:
      return top(client, args);
  }
}

async function top(client: ControlClient, args: Arguments): Promise<void> {
  const { stdin, stdout, env } = process;
  const isLive = !args.json && args.count === Infinity && isScreen(stdin, stdout, env);
  if (!isLive) {
    await lines(client, args, print);
    return;
  }
  const quit = await new Top(client, stdin, stdout, env).run(args.intervalMs);
  if (quit) return;
  if (client.refusal !== null) throw client.refusal;
  print('it has ended\n');
}

function ownVersion(): string {
  const text = readFileSync(join(__dirname, '..', '..', 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

// The reader of a pipe, say `head`, may go first.
process.stdout.on('error', () => process.exit(0));

main(process.argv.slice(2)).catch((error: unknown) => {
  const known = error instanceof CommandError;
  const text = known ? error.message : ((error as Error).stack ?? String(error));
  warn(text);
  process.exitCode = known ? error.exitCode : 1;
});
