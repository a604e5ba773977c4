# Writes the header that says which interface a plug-in is built for: the version, and a sum of all public headers
# without comments and white space. cmake -D VERSION=0.1 -D ROOT=DIR -D HEADERS=A|B -D OUTPUT=FILE -P this
string(REPLACE "|" ";" headers "${HEADERS}")
list(SORT headers)
set(interface "")
foreach(header IN LISTS headers)
  file(RELATIVE_PATH name "${ROOT}" "${header}")
  file(READ "${header}" text)
  string(REGEX REPLACE "//[^\n]*" "" text "${text}")
  string(REGEX REPLACE "[ \t\n]+" " " text "${text}")
  string(APPEND interface "${name} ${text}\n")
endforeach()
string(SHA256 sum "${interface}")
string(SUBSTRING "${sum}" 0 8 sum)
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT [[#pragma once

namespace penstock {

// Stands in every plug-in, where it is looked for before the plug-in is loaded.
#ifdef _GLIBCXX_DEBUG  // the containers have another layout
inline constexpr char kInterfaceMark[] = "penstock interface version: @VERSION@-@sum@-debug";
#else
inline constexpr char kInterfaceMark[] = "penstock interface version: @VERSION@-@sum@";
#endif

}  // namespace penstock
]] @ONLY)
