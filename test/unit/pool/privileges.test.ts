import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { systemError } from '../../../lib/errors';
import { checkPrivileges, dropPrivileges, type Privileges } from '../../../lib/pool/privileges';
import { thrownBy } from '../fake-kernel';

/** `process`, without what Node's types say of these functions. */
const system = process as unknown as Record<string, (...args: unknown[]) => unknown>;

/** What was called, in order, as `setgid 33`. */
let calls: string[];
let uid: number;

function recording(name: string) {
  return (...args: unknown[]): undefined => {
    calls.push([name, ...args.map(String)].join(' '));
    return undefined;
  };
}

function failing(name: string): () => never {
  return () => {
    throw systemError('EPERM', name, 'operation not permitted');
  };
}

/** An account `www`, 33:34, and a group `staff`, 50. The kernel keeps what setuid has given up. */
function fakeSystem(): void {
  calls = [];
  uid = 0;
  sinon.stub(binding, 'lookupUser').callsFake((user) => {
    calls.push(`lookupUser ${String(user)}`);
    return user === 'www' || user === 33 ? [33, 34, 'www'] : undefined;
  });
  sinon.stub(binding, 'lookupGroup').callsFake((group) => {
    calls.push(`lookupGroup ${group}`);
    return group === 'staff' ? 50 : undefined;
  });
  sinon.stub(binding, 'chroot').callsFake(recording('chroot'));
  sinon.stub(binding, 'setParentDeathSignal').callsFake(recording('setParentDeathSignal'));
  sinon.stub(system, 'getuid').callsFake(() => uid);
  sinon.stub(system, 'setgroups').callsFake(recording('setgroups'));
  sinon.stub(system, 'initgroups').callsFake(recording('initgroups'));
  sinon.stub(system, 'setgid').callsFake(recording('setgid'));
  sinon.stub(system, 'setuid').callsFake((id: unknown) => {
    calls.push(`setuid ${String(id)}`);
    if (uid !== 0 && id === 0) failing('setuid')();
    uid = Number(id);
  });
}

function replace(name: 'setgid' | 'setuid' | 'initgroups', fake: () => void): void {
  (system[name] as sinon.SinonStub).callsFake(fake);
}

const failureOf =
  (act: typeof checkPrivileges) =>
  (privileges: Privileges): string =>
    thrownBy(() => {
      act(privileges);
    }, 'ERR_PRIVILEGES').message;

describe('checkPrivileges', () => {
  beforeEach(fakeSystem);
  afterEach(() => {
    sinon.restore();
  });

  const failure = failureOf(checkPrivileges);

  it('asks for nothing when nothing is asked for, whoever runs it', () => {
    uid = 1000;
    checkPrivileges({});
    expect(calls).to.deep.equal([]);
  });

  it('looks up and changes nothing', () => {
    checkPrivileges({ user: 'www', group: 'staff', chroot: '/' });
    expect(calls).to.deep.equal(['lookupUser www', 'lookupGroup staff']);
  });

  it('tells what can never work', () => {
    expect(failure({ user: 'wwww' })).to.equal('no user is called wwww');
    expect(failure({ user: 'www', group: 'stuff' })).to.equal('no group is called stuff');
    expect(failure({ chroot: '/no/such' })).to.match(/^chroot to \/no\/such failed: ENOENT/);
    expect(failure({ chroot: __filename })).to.match(/^chroot to .* failed: ENOTDIR/);
    uid = 1000;
    expect(failure({ chroot: '/' })).to.equal('user, group and chroot need root, this is uid 1000');
  });
});

describe('dropPrivileges', () => {
  beforeEach(fakeSystem);
  afterEach(() => {
    sinon.restore();
  });

  it('does nothing when nothing is asked for, whoever runs it', () => {
    uid = 1000;
    dropPrivileges({});
    expect(calls).to.deep.equal([]);
  });

  it('looks up, then groups, chroot, gid, uid; then makes sure that root is lost', () => {
    dropPrivileges({ user: 'www', group: 'staff', chroot: '/jail' });
    expect(calls).to.deep.equal([
      'lookupUser www',
      'lookupGroup staff',
      'initgroups www 50',
      'chroot /jail',
      'setgid 50',
      'setuid 33',
      'setuid 0',
      'setParentDeathSignal 9',
    ]);
  });

  it("takes the user's own group by default", () => {
    dropPrivileges({ user: 'www' });
    expect(calls).to.deep.equal([
      'lookupUser www',
      'initgroups www 34',
      'setgid 34',
      'setuid 33',
      'setuid 0',
      'setParentDeathSignal 9',
    ]);
  });

  it('knows the account of a uid, with its groups', () => {
    dropPrivileges({ user: 33 });
    expect(calls).to.include.members(['initgroups www 34', 'setgid 34', 'setuid 33']);
  });

  it('a uid without an account has one group only, which must be given', () => {
    dropPrivileges({ user: 4711, group: 4712 });
    expect(calls).to.deep.equal([
      'lookupUser 4711',
      'setgroups 4712',
      'setgid 4712',
      'setuid 4711',
      'setuid 0',
      'setParentDeathSignal 9',
    ]);
    const { message } = thrownBy(() => {
      uid = 0;
      dropPrivileges({ user: 4711 });
    }, 'ERR_PRIVILEGES');
    expect(message).to.equal('uid 4711 has no account: give a group as well');
  });

  it('a group alone: root keeps its uid and loses its other groups', () => {
    dropPrivileges({ group: 'staff' });
    expect(calls).to.deep.equal([
      'lookupGroup staff',
      'setgroups 50',
      'setgid 50',
      'setParentDeathSignal 9',
    ]);
  });

  it('chroot alone', () => {
    dropPrivileges({ chroot: '/jail' });
    expect(calls).to.deep.equal(['chroot /jail', 'setParentDeathSignal 9']);
  });

  it('user root is not tried for a way back', () => {
    dropPrivileges({ user: 0, group: 0 });
    expect(calls.filter((call) => call === 'setuid 0')).to.have.length(1);
  });

  describe('fails with ERR_PRIVILEGES', () => {
    const failure = failureOf(dropPrivileges);

    it('without root, before anything is done', () => {
      uid = 1000;
      expect(failure({ user: 'www' })).to.equal(
        'user, group and chroot need root, this is uid 1000',
      );
      expect(calls).to.deep.equal([]);
    });

    it('for an unknown user or group, before anything is given up', () => {
      expect(failure({ user: 'wwww', chroot: '/jail' })).to.equal('no user is called wwww');
      expect(failure({ user: 'www', group: 'stuff' })).to.equal('no group is called stuff');
      expect(failure({ group: 'stuff' })).to.equal('no group is called stuff');
      expect(calls.filter((call) => !call.startsWith('lookup'))).to.deep.equal([]);
    });

    it('when the groups cannot be set: nothing after it is done', () => {
      replace('initgroups', failing('initgroups'));
      expect(failure({ user: 'www', chroot: '/jail' })).to.match(/^setgroups failed: EPERM/);
      expect(calls).to.deep.equal(['lookupUser www']);
    });

    it('when the root cannot be changed: gid and uid are not touched', () => {
      (binding.chroot as sinon.SinonStub).callsFake(failing('chroot'));
      expect(failure({ user: 'www', chroot: '/jail' })).to.match(/^chroot to \/jail failed: EPERM/);
      expect(calls.some((call) => call.startsWith('set'))).to.equal(false);
    });

    it('when the gid cannot be set: the uid is not touched', () => {
      replace('setgid', failing('setgid'));
      expect(failure({ user: 'www' })).to.match(/^setgid to 34 failed: EPERM/);
      expect(calls.some((call) => call.startsWith('setuid'))).to.equal(false);
    });

    it('when the uid cannot be set, with the cause', () => {
      replace('setuid', failing('setuid'));
      let caught: unknown;
      try {
        dropPrivileges({ user: 'www' });
      } catch (error) {
        caught = error;
      }
      expect(caught).to.have.property('code', 'ERR_PRIVILEGES');
      expect(caught).to.have.nested.property('cause.code', 'EPERM');
    });

    it('when root could be taken back', () => {
      replace('setuid', () => undefined);
      expect(failure({ user: 'www' })).to.equal('setuid did not last: root could be taken back');
      expect(calls).to.not.include('setParentDeathSignal 9');
    });
  });
});
