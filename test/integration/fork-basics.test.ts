import { expect } from 'chai';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

describe('fork: basics', () => {
  assertNothingLeaks();

  it('ends by itself with process.exitCode after a timer', async () => {
    const { code, stdout } = await runFixture('fork/exit-code.js');
    expect(code).to.equal(0);
    expect(JSON.parse(stdout)).to.deep.equal({ samePid: true, code: 7, signal: 0 });
  });
});
