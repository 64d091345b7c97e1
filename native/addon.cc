// The addon's entry: one exports object, filled by the parts named in binding.h.
#include "binding.h"

NODE_MODULE_INIT(/* exports, module, context */) {
  prefork::RegisterFork(exports);
  prefork::RegisterChildLoop(exports);
  prefork::RegisterSocket(exports);
  prefork::RegisterListen(exports);
  prefork::RegisterConnections(exports);
  prefork::RegisterDatagram(exports);
  prefork::RegisterFdWatcher(exports, context);
  prefork::RegisterMemory(exports);
  prefork::RegisterPacket(exports);
  prefork::RegisterMessageQueue(exports);
  prefork::RegisterWait(exports);
  prefork::RegisterSignal(exports);
  prefork::RegisterRandom(exports);
  prefork::RegisterPrivileges(exports);
  prefork::RegisterSched(exports);
  prefork::RegisterSlowLog(exports);
}
