/** Reads what the documents say about the code: runnable blocks, links, and the tests they name. */
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';

export const ROOT = resolve(__dirname, '..', '..');

/** How a block's language is run: the ending that tells Node what the file is. */
const RUNNABLE = new Set(['js', 'mjs', 'ts']);

export interface CodeBlock {
  file: string;
  /** The line of the opening fence, from 1. */
  line: number;
  language: string;
  code: string;
  /** The text block that follows it: what it prints. */
  output: string | null;
}

export interface Link {
  file: string;
  target: string;
}

/** Those at the top of the checkout, and everything in docs/, by their path in it. */
export function documents(): string[] {
  const inDocs = readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .sort()
    .map((name) => join('docs', name));
  return ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', ...inDocs];
}

export function textOf(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

/** Every fenced block of a document. */
function fencedBlocks(file: string): CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let open: CodeBlock | null = null;
  let body: string[] = [];
  textOf(file)
    .split('\n')
    .forEach((text, index) => {
      if (!text.startsWith('```')) {
        body.push(text);
        return;
      }
      if (open === null)
        open = { file, line: index + 1, language: text.slice(3).trim(), code: '', output: null };
      else {
        blocks.push({ ...open, code: `${body.join('\n')}\n` });
        open = null;
      }
      body = [];
    });
  if (open !== null) throw new Error(`${file}: a code block is not closed`);
  return blocks;
}

/** The blocks that are programs, each with the output that the document shows for it. */
export function programs(file: string): CodeBlock[] {
  const blocks = fencedBlocks(file);
  return blocks.flatMap((block, i) => {
    if (!RUNNABLE.has(block.language)) return [];
    const next = blocks[i + 1];
    return [{ ...block, output: next?.language === 'text' ? next.code : null }];
  });
}

/** Commands of the shell blocks, one a line. */
export function shellCommands(file: string): string[] {
  return fencedBlocks(file)
    .filter(({ language }) => language === 'sh')
    .flatMap(({ code }) => code.split('\n'))
    .filter((command) => command.trim() !== '');
}

/** Links into the checkout: `[text](path)` without those to other sites. */
export function localLinks(file: string): Link[] {
  return [...textOf(file).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => ({ file, target: target as string }))
    .filter(({ target }) => !/^[a-z]+:/.test(target));
}

/** The anchors that headings of a document make, as GitHub does. */
export function anchorsOf(file: string): string[] {
  return [...textOf(file).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    (heading as string)
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** The tests a document names, as `file.test.ts: "title"`. A title may be cut by an ellipsis. */
export function namedTests(file: string): { path: string; title: string }[] {
  return [...textOf(file).matchAll(/`([\w-]+\.test\.ts)`: "([^"]+)"/g)].map(([, name, title]) => ({
    path: join(
      'test',
      (name as string) === 'stress.test.ts' ? 'stress' : 'integration',
      name as string,
    ),
    title: title as string,
  }));
}

/**
 * Makes a pattern of an output as documents show it: `<pid>`, `<n>` and the like stand for numbers.
 */
export function outputPattern(output: string): RegExp {
  const escaped = output.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll(/<[a-z]+>/g, '\\d+(?:\\.\\d+)?')}$`);
}

export function pathInCheckout(from: string, target: string): string {
  return relative(ROOT, resolve(ROOT, from, '..', target));
}
