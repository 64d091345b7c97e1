{
  "targets": [
    {
      "target_name": "prefork",
      "sources": [
        "<!@(node -p \"require('fs').readdirSync('native').filter(f => f.endsWith('.cc')).sort().map(f => 'native/' + f).join(' ')\")"
      ],
      "cflags": [
        "-O2",
        "-fvisibility=hidden",
        "-Wall",
        "-Wextra",
        "-Wno-unused-parameter",
        "-Wno-cast-function-type",
        "-include", "../native/glibc-floor.h"
      ],
      "ldflags": ["-pthread", "-s", "-Wl,-z,now"],
      "libraries": ["-Wl,--no-as-needed,-l:librt.so.1,--as-needed"]
    }
  ]
}
