// A plug-in of another Penstock, which must be refused before any of its code runs.

#include <cstdlib>

extern "C" const char* interface_mark() {
  return "penstock interface version: 0.0-12345678";
}

[[gnu::constructor]] void run_when_loaded() {
  std::abort();
}
