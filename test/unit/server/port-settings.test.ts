import { expect } from 'chai';
import { resolvePortSettings, type PortOptions } from '../../../lib/server/port-settings';
import { mergePortOptions } from '../../../lib/server/settings';
import { thrownBy } from '../fake-kernel';

const MIB = 1024 * 1024;

/** As with port.set() and a start. */
const settingsOf = (options: PortOptions) => resolvePortSettings(mergePortOptions({}, options));

describe('settings of a port', () => {
  it('have defaults', () => {
    expect(settingsOf({})).to.deep.equal({
      backlog: 512,
      openTcpNodelay: true,
      socketBufferSize: 8 * MIB,
      bufferHighWatermark: Math.floor(8 * MIB * 0.8),
      bufferLowWatermark: 0,
      heartbeatIdleTime: 0,
      heartbeatCheckInterval: 0,
      openEofCheck: false,
      openEofSplit: false,
      packageEof: Buffer.from('\r\n\r\n'),
      openLengthCheck: false,
      packageLengthType: 'N',
      packageLengthOffset: 0,
      packageBodyOffset: 4,
      packageLengthFunc: null,
      packageMaxLength: 2 * MIB,
    });
  });

  it('are kept as they are set', () => {
    const options: PortOptions = {
      backlog: 65535,
      openTcpNodelay: false,
      socketBufferSize: 1000,
      bufferHighWatermark: 1000,
      bufferLowWatermark: 999,
      heartbeatIdleTime: 1000,
      heartbeatCheckInterval: 500,
      openEofCheck: false,
      openEofSplit: false,
      packageEof: Buffer.from('\n'),
      openLengthCheck: true,
      packageLengthType: 'v',
      packageLengthOffset: 8152,
      packageBodyOffset: 8154,
      packageLengthFunc: () => 1,
      packageMaxLength: 1024 * MIB,
    };
    expect(settingsOf(options)).to.deep.equal(options);
  });

  const OUT_OF_RANGE: [keyof PortOptions, unknown, string][] = [
    ['backlog', -1, '0 to 65535'],
    ['backlog', 65536, '0 to 65535'],
    ['socketBufferSize', -1, '0 to 2147483647'],
    ['bufferHighWatermark', 0, '1 to 2147483647'],
    ['bufferLowWatermark', -1, '0 to 2147483647'],
    ['heartbeatIdleTime', 1.5, '0 to 2147483647'],
    ['heartbeatCheckInterval', NaN, '0 to 2147483647'],
    ['packageEof', '', '1 to 8 bytes'],
    ['packageEof', '123456789', '1 to 8 bytes'],
    ['packageEof', 'ééééé', '1 to 8 bytes long, got 10'],
    ['packageLengthType', 'x', "'c', 'C'"],
    ['packageLengthType', 'toString', "'c', 'C'"],
    ['packageLengthOffset', 8153, '0 to 8152'],
    ['packageBodyOffset', -1, '0 to 1073741824'],
    ['packageMaxLength', 0, '1 to 1073741824'],
    ['packageMaxLength', 1024 * MIB + 1, '1 to 1073741824'],
  ];
  for (const [name, value, limits] of OUT_OF_RANGE) {
    it(`refuse ${name} ${JSON.stringify(value)}, naming it and the limits`, () => {
      const { message } = thrownBy(() => settingsOf({ [name]: value }), 'ERR_OUT_OF_RANGE');
      expect(message).to.include(name).and.include(limits);
    });
  }

  it('refuse values of a wrong type, naming the setting', () => {
    for (const name of Object.keys(settingsOf({}))) {
      const { message } = thrownBy(() => settingsOf({ [name]: null }), 'ERR_INVALID_ARG_TYPE');
      expect(message).to.match(new RegExp(`^${name} must be`));
    }
  });

  it('take no eof that a caller changes later', () => {
    const eof = Buffer.from('\n');
    const settings = settingsOf({ packageEof: eof });
    eof[0] = 65;
    expect(String(settings.packageEof)).to.equal('\n');
  });

  it('keep what was set before, also when it is undefined now', () => {
    const first = mergePortOptions({}, { backlog: 5, openTcpNodelay: false });
    const second = mergePortOptions(first, { backlog: 6, openTcpNodelay: undefined } as never);
    expect(second).to.deep.equal({ backlog: 6, openTcpNodelay: false });
    expect(first).to.deep.equal({ backlog: 5, openTcpNodelay: false });
  });

  it('name the nearest setting for an unknown one', () => {
    const wrong = { package_max_length: 1 } as PortOptions;
    const { message } = thrownBy(() => settingsOf(wrong), 'ERR_UNKNOWN_OPTION');
    expect(message).to.include('"package_max_length"').and.include('"packageMaxLength"');
  });

  it('say that a setting belongs to the server', () => {
    const wrong = { workerNum: 1 } as PortOptions;
    const { message } = thrownBy(() => settingsOf(wrong), 'ERR_UNKNOWN_OPTION');
    expect(message).to.equal('"workerNum" is a setting of the server, not of one port');
  });

  it('have only one protocol: an eof comes before a length, and a split is a check', () => {
    const all = { openEofCheck: true, openEofSplit: true, openLengthCheck: true };
    const on = (options: PortOptions) => {
      const { openEofCheck, openEofSplit, openLengthCheck } = settingsOf(options);
      return [openEofCheck, openEofSplit, openLengthCheck];
    };
    expect(on(all)).to.deep.equal([true, true, false]);
    expect(on({ openEofSplit: true, openLengthCheck: true })).to.deep.equal([true, true, false]);
    expect(on({ openEofCheck: true, openLengthCheck: true })).to.deep.equal([true, false, false]);
    expect(on({ openLengthCheck: true })).to.deep.equal([false, false, true]);
  });

  it('leave room for a packet', () => {
    const wrong: PortOptions[] = [
      { openEofCheck: true, packageEof: '123', packageMaxLength: 2 },
      { openLengthCheck: true, packageMaxLength: 3 },
      { openLengthCheck: true, packageBodyOffset: 100, packageMaxLength: 99 },
      { openLengthCheck: true, packageLengthOffset: 96, packageMaxLength: 99 },
    ];
    for (const options of wrong) thrownBy(() => settingsOf(options), 'ERR_OUT_OF_RANGE');
    settingsOf({ openLengthCheck: true, packageBodyOffset: 100, packageMaxLength: 100 });
    settingsOf({ openLengthCheck: true, packageLengthFunc: () => 1, packageMaxLength: 1 });
    settingsOf({ packageMaxLength: 1 });
  });

  describe('heartbeat', () => {
    const heartbeat = (options: PortOptions) => {
      const { heartbeatIdleTime, heartbeatCheckInterval } = settingsOf(options);
      return [heartbeatIdleTime, heartbeatCheckInterval];
    };

    it('takes each time from the other', () => {
      expect(heartbeat({ heartbeatIdleTime: 1001 })).to.deep.equal([1001, 500]);
      expect(heartbeat({ heartbeatIdleTime: 1 })).to.deep.equal([1, 1]);
      expect(heartbeat({ heartbeatCheckInterval: 500 })).to.deep.equal([1000, 500]);
    });

    it('checks at least twice in the idle time', () => {
      const often = { heartbeatIdleTime: 1000, heartbeatCheckInterval: 10 };
      expect(heartbeat(often)).to.deep.equal([1000, 10]);
      const rarely = { heartbeatIdleTime: 1000, heartbeatCheckInterval: 501 };
      expect(heartbeat(rarely)).to.deep.equal([1000, 500]);
    });

    it('is off with 0', () => {
      expect(heartbeat({ heartbeatIdleTime: 0, heartbeatCheckInterval: 0 })).to.deep.equal([0, 0]);
    });
  });

  describe('watermarks', () => {
    it('follow socketBufferSize', () => {
      expect(settingsOf({ socketBufferSize: 1000 }).bufferHighWatermark).to.equal(800);
      expect(settingsOf({ socketBufferSize: 1 }).bufferHighWatermark).to.equal(1);
    });

    it('have no bound when socketBufferSize is 0', () => {
      const settings = settingsOf({ socketBufferSize: 0 });
      expect(settings.socketBufferSize).to.equal(0x7fffffff);
      expect(settings.bufferHighWatermark).to.equal(Math.floor(0x7fffffff * 0.8));
    });

    it('must be in order', () => {
      const over = { socketBufferSize: 1000, bufferHighWatermark: 1001 };
      expect(thrownBy(() => settingsOf(over), 'ERR_OUT_OF_RANGE').message).to.include('1001');
      const wrong = { bufferHighWatermark: 10, bufferLowWatermark: 10 };
      const { message } = thrownBy(() => settingsOf(wrong), 'ERR_OUT_OF_RANGE');
      expect(message).to.include('bufferLowWatermark').and.include('bufferHighWatermark');
    });
  });
});
