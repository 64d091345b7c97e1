import { builtinModules } from 'node:module';
import js from '@eslint/js';
import { defineConfig } from 'eslint/config';
import globals from 'globals';
import tseslint from 'typescript-eslint';

const unprefixed = builtinModules
  .filter((name) => !name.includes(':') && !name.startsWith('_'))
  .map((name) => ({ name, message: `Write 'node:${name}'.` }));

/** Options of no-restricted-imports: Node's own modules by prefix, and no imports from above. */
function importRules(...upperFolders) {
  const options = { paths: unprefixed };
  if (upperFolders.length > 0) {
    const folders = upperFolders.join('|');
    options.patterns = [
      {
        regex: `^(\\.\\./)+(${folders})(/|$)`,
        message: 'Imports go downwards only: server > pool > control > process > ipc.',
      },
    ];
  }
  return { '@typescript-eslint/no-restricted-imports': ['error', options] };
}

const tests = ['test/**/*.ts', 'bench/**/*.ts', 'examples/**/*.ts'];

export default defineConfig(
  {
    ignores: ['.cache/**', 'build/**', 'coverage/**', 'dist/**', 'prebuilds/**', 'site/**'],
  },
  js.configs.recommended,
  {
    languageOptions: { globals: globals.node },
    plugins: { '@typescript-eslint': tseslint.plugin },
    rules: { ...importRules(), eqeqeq: 'error', 'prefer-const': 'error' },
  },
  {
    files: ['**/*.js', '**/*.cjs'],
    languageOptions: { sourceType: 'commonjs' },
  },
  {
    files: ['lib/**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json' } },
    rules: {
      'no-console': 'error',
      'max-lines': ['error', { max: 300, skipBlankLines: true, skipComments: true }],
      'max-lines-per-function': ['error', { max: 40, skipBlankLines: true, skipComments: true }],
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportDefaultDeclaration', message: 'Use named exports.' },
        { selector: 'TSExportAssignment', message: 'Use named exports.' },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
    },
  },
  { files: ['lib/ipc/**/*.ts'], rules: importRules('process', 'control', 'pool', 'server') },
  { files: ['lib/process/**/*.ts'], rules: importRules('control', 'pool', 'server') },
  { files: ['lib/control/**/*.ts'], rules: importRules('pool', 'server') },
  { files: ['lib/pool/**/*.ts'], rules: importRules('server') },
  {
    files: tests,
    extends: [tseslint.configs.recommended],
    languageOptions: { globals: globals.mocha, parserOptions: { project: './tsconfig.test.json' } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      // Chai's assertions are property reads.
      '@typescript-eslint/no-unused-expressions': 'off',
      '@typescript-eslint/no-require-imports': 'off',
    },
  },
  // Only the types of values matter there; the compiler finds what is unused.
  { files: ['test/types/**/*.ts'], rules: { '@typescript-eslint/no-unused-vars': 'off' } },
);
