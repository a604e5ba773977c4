# Debian's libblis-serial-dev has no CMake package and no pkg-config file.
# Defines BLIS::BLIS, BLIS_VERSION.
find_path(BLIS_INCLUDE_DIR blis.h PATH_SUFFIXES blis-serial blis-openmp blis-pthread blis)
find_library(BLIS_LIBRARY blis PATH_SUFFIXES blis-serial blis-openmp blis-pthread)
if(BLIS_LIBRARY)
  # The only string of this kind in the library: what bli_info_get_version_str() returns.
  file(STRINGS "${BLIS_LIBRARY}" BLIS_VERSION REGEX "^[0-9]+\\.[0-9]+(\\.[0-9]+)?(-[0-9]+)?$" LIMIT_COUNT 1)
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(BLIS
  REQUIRED_VARS BLIS_LIBRARY BLIS_INCLUDE_DIR
  VERSION_VAR BLIS_VERSION)
if(BLIS_FOUND AND NOT TARGET BLIS::BLIS)
  add_library(BLIS::BLIS UNKNOWN IMPORTED)
  set_target_properties(BLIS::BLIS PROPERTIES
    IMPORTED_LOCATION "${BLIS_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${BLIS_INCLUDE_DIR}")
endif()
mark_as_advanced(BLIS_INCLUDE_DIR BLIS_LIBRARY)
