/** The command line: finds the questions, asks them one after the other, prints and saves the answers. */
import { readdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { closeAll } from './alternate';
import { describeMachine, printSection, type Section } from './report';
import { Subject } from './subject';

export interface Options {
  /** Fewer rounds. */
  quick: boolean;
}

/** What a file bench/<name>.ts exports as `question`. */
export interface Question {
  title: string;
  /** Yields each result as soon as it is there. */
  answer(options: Options): AsyncIterable<Section>;
}

interface Answer {
  question: string;
  title: string;
  sections: Section[];
}

const FOLDER = resolve(__dirname, '..');

function questionNames(): string[] {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.ts'));
  return files.map((name) => name.slice(0, -'.ts'.length)).sort();
}

/** Tells a failure at once: what was measured before it, and what others measure, is not lost. */
async function ask(name: string, options: Options): Promise<Answer> {
  const { question } = (await import(resolve(FOLDER, `${name}.ts`))) as { question: Question };
  console.log(`\n${name}: ${question.title}`);
  const sections: Section[] = [];
  const begin = performance.now();
  try {
    for await (const section of question.answer(options)) {
      printSection(section);
      sections.push(section);
    }
  } catch (error) {
    console.error(`bench: ${name}: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
    // They would disturb the next question, and keep this process.
    await closeAll(Subject.open);
  }
  console.log(`\n  ${name} took ${seconds(performance.now() - begin)}`);
  return { question: name, title: question.title, sections };
}

function seconds(ms: number): string {
  return `${String(Math.round(ms / 1000))} s`;
}

function checkNames(asked: string[]): string[] {
  const known = questionNames();
  const unknown = asked.find((name) => !known.includes(name));
  if (unknown === undefined) return asked.length > 0 ? asked : known;
  throw new Error(`there is no question "${unknown}": ask ${known.join(', ')}`);
}

export async function main(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { quick: { type: 'boolean', default: false }, json: { type: 'string' } },
  });
  const names = checkNames(positionals);
  const machine = describeMachine();
  console.log(Object.values(machine).join(', '));
  console.log('ratio: how many times as fast as that peer prefork is; higher is better');
  const answers: Answer[] = [];
  const begin = performance.now();
  for (const name of names) answers.push(await ask(name, { quick: values.quick }));
  console.log(`\nall of it took ${seconds(performance.now() - begin)}`);
  const result = { machine, quick: values.quick, answers };
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`);
}
