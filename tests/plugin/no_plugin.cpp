// A shared library that has nothing to do with Penstock.

extern "C" int answer() {
  return 42;
}
