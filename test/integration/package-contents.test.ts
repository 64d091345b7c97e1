import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import ts from 'typescript';
import { assertNothingLeaks } from '../support/leaks';
import { makeFolder, pack, succeed, unpack, type Tarball } from '../support/package';

const LIMIT_BYTES = 2 * 1024 * 1024;

interface Manifest {
  exports: Record<string, string | Record<string, string>>;
  main: string;
  types: string;
  os: string[];
  libc: string[];
  engines: { node: string };
  dependencies?: object;
  scripts: { install: string };
}

describe('package: what is in it', () => {
  assertNothingLeaks();

  let folder: string;
  let tarball: Tarball;
  let root: string;
  let manifest: Manifest;

  before(async function () {
    this.timeout(120_000);
    folder = makeFolder();
    tarball = await pack(folder);
    root = await unpack(tarball, folder);
    manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  const endingIn = (ending: string): string[] =>
    tarball.contents.filter((path) => path.endsWith(ending));

  it('is smaller than 2 MB', () => {
    expect(tarball.size).to.be.below(LIMIT_BYTES);
  });

  it('is what is needed to run, to build from source, and to read', () => {
    const allowed =
      /^(dist\/.+\.(js|d\.ts)|native\/[\w-]+\.(cc|h)|prebuilds\/linux-\w+\/prefork\.abi\d+\.node|docs\/[\w-]+\.md|scripts\/(build-native|lock)\.mjs|binding\.gyp|package\.json|(README|CHANGELOG|SECURITY)\.md|LICENSE)$/;
    expect(tarball.contents.filter((path) => !allowed.test(path))).to.deep.equal([]);
    const needed = ['dist/main.js', 'dist/index.d.ts', 'native/addon.cc', 'binding.gyp'];
    expect(tarball.contents).to.include.members([...needed, 'LICENSE', 'README.md', 'SECURITY.md']);
  });

  it('has every file that its manifest and its installation name', () => {
    const names = [manifest.main, manifest.types, ...manifest.scripts.install.split(' ')];
    for (const target of Object.values(manifest.exports)) {
      names.push(...(typeof target === 'string' ? [target] : Object.values(target)));
    }
    const files = names.filter((name) => name.includes('.')).map((name) => name.replace('./', ''));
    expect(files).to.have.length.above(5);
    expect(tarball.contents).to.include.members(files);
  });

  it('offers its types first', () => {
    expect(Object.keys(manifest.exports['.'] as object)).to.deep.equal(['types', 'default']);
  });

  it('says where it runs, and needs no other package', () => {
    expect(manifest.os).to.deep.equal(['linux']);
    expect(manifest.libc).to.deep.equal(['glibc']);
    expect(manifest.engines.node).to.equal('>=20');
    expect(manifest).to.not.have.any.keys('dependencies', 'optionalDependencies');
  });

  it('has binaries that are stripped and run wherever Node does: glibc 2.28', async () => {
    expect(endingIn('.node')).to.not.be.empty;
    for (const path of endingIn('.node')) {
      const args = ['--wide', '--section-headers', '--version-info', join(root, path)];
      const { stdout } = await succeed('readelf', args);
      expect(stdout, path).to.include('.dynsym').and.not.include('.symtab');
      const minors = [...stdout.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
      expect(Math.max(...minors), path).to.be.within(2, 28);
    }
  });

  it('has no `any` in its declarations', () => {
    const found: string[] = [];
    for (const path of endingIn('.d.ts')) {
      const text = readFileSync(join(root, path), 'utf8');
      const source = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
      const visit = (node: ts.Node): void => {
        if (node.kind === ts.SyntaxKind.AnyKeyword) found.push(`${path}: ${node.parent.getText()}`);
        ts.forEachChild(node, visit);
      };
      visit(source);
    }
    expect(endingIn('.d.ts')).to.have.length.above(20);
    expect(found).to.deep.equal([]);
  });
});
