/** The command line: finds the questions, asks them one after the other, prints and saves the answers. */
import { readdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { describeMachine, printSection, type Section } from './report';

export interface Options {
  /** Fewer rounds. */
  quick: boolean;
}

/** What a file bench/<name>.ts exports as `question`. */
export interface Question {
  title: string;
  answer(options: Options): Promise<Section[]>;
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

async function ask(name: string, options: Options): Promise<Answer> {
  const { question } = (await import(resolve(FOLDER, `${name}.ts`))) as { question: Question };
  console.log(`\n${name}: ${question.title}`);
  const sections = await question.answer(options);
  sections.forEach(printSection);
  return { question: name, title: question.title, sections };
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
  for (const name of names) answers.push(await ask(name, { quick: values.quick }));
  const result = { machine, quick: values.quick, answers };
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`);
}
