import { expect } from 'chai';
import { keysOf } from '../../../lib/cli/keys';
import { abilities, isScreen } from '../../../lib/cli/terminal';

describe('keys', () => {
  it('have names, also several in one piece', () => {
    expect(keysOf('q')).to.deep.equal(['q']);
    expect(keysOf('\x1b[A\x1bOBr')).to.deep.equal(['up', 'down', 'r']);
    expect(keysOf('\x1b[5~\x1b[6~\x1b[H\x1b[4~')).to.deep.equal([
      'pageup',
      'pagedown',
      'home',
      'end',
    ]);
    expect(keysOf('\x03\x0c')).to.deep.equal(['quit', 'redraw']);
    expect(keysOf('日')).to.deep.equal(['日']);
  });

  it('are left out when they mean nothing, with all that belongs to them', () => {
    expect(keysOf('\x1b[3~\x1b[1;5C\x1bOPk')).to.deep.equal(['k']);
    expect(keysOf('\x1b')).to.deep.equal(['escape']);
  });
});

describe('abilities of a terminal', () => {
  it('are taken from the environment', () => {
    expect(abilities({ LANG: 'de_DE.UTF-8' })).to.deep.equal({ color: true, unicode: true });
    expect(abilities({ LANG: 'de_DE.UTF-8', LC_ALL: 'C' })).to.deep.equal({
      color: true,
      unicode: false,
    });
    expect(abilities({ NO_COLOR: '1', LC_CTYPE: 'C.utf8' })).to.deep.equal({
      color: false,
      unicode: true,
    });
  });

  it('it takes two ends, and one that is not dumb, to draw', () => {
    const [yes, no] = [{ isTTY: true }, {}];
    expect(isScreen(yes, yes, { TERM: 'xterm' })).to.equal(true);
    expect(isScreen(no, yes, { TERM: 'xterm' })).to.equal(false);
    expect(isScreen(yes, no, { TERM: 'xterm' })).to.equal(false);
    expect(isScreen(yes, yes, { TERM: 'dumb' })).to.equal(false);
    expect(isScreen(yes, yes, {})).to.equal(false);
  });
});
