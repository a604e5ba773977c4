// Precompiled here, for all tests: see tests/CMakeLists.txt.
