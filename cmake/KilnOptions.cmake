# Language level, warnings and sanitizers: one place for the whole tree.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON) # installed programs find LLVM where these do
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

set(KILN_SANITIZE "" CACHE STRING "Sanitizers for our own code: empty, address+undefined, thread, or fuzzer (address+undefined, with libFuzzer in the fuzz targets)")
set(KILN_WARNINGS_AS_ERRORS ON CACHE BOOL "Treat warnings as errors")

# For what programs carry. Exceptions are thrown by calls alone: tables for every instruction (debuggers', profilers')
# were 2% of a program. With a frame pointer these say once where a frame begins, and not again for each register that is
# pushed: 22 KB less of them, for 12 KB of code.
set(KILN_FOR_SIZE -Oz -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -fno-omit-frame-pointer)

add_library(kiln_options INTERFACE)
target_compile_options(kiln_options INTERFACE -Wall -Wextra -Wno-unused-parameter)
if(KILN_WARNINGS_AS_ERRORS)
  target_compile_options(kiln_options INTERFACE -Werror)
endif()
if(KILN_SANITIZE STREQUAL "address+undefined" OR KILN_SANITIZE STREQUAL "fuzzer")
  # vptr asks for type information across libMLIR's border, where it is hidden. LLVM's headers are not ours to fix.
  add_compile_options(-fsanitize=address,undefined -fno-sanitize=vptr -fno-omit-frame-pointer
                      -fno-sanitize-recover=undefined "-fsanitize-ignorelist=${PROJECT_SOURCE_DIR}/cmake/sanitizer-ignore.txt")
  add_link_options(-fsanitize=address,undefined -fno-sanitize=vptr)
  if(KILN_SANITIZE STREQUAL "fuzzer")
    add_compile_options(-fsanitize=fuzzer-no-link)
  endif()
elseif(KILN_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread)
  add_link_options(-fsanitize=thread)
endif()

find_program(KILN_CCACHE ccache)
if(KILN_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER "${CMAKE_COMMAND};-E;env;CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime;${KILN_CCACHE}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_C_COMPILER_LAUNCHER}")
endif()
