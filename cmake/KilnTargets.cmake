# kiln_library(NAME [MLIR] SOURCES ... [LINK ...] [DEPENDS ...] [PCH ...]): a static library of ours, named kiln_NAME. PCH
# names headers that most of its files want beside those of every MLIR target: it then has a precompiled header of its own.
function(kiln_library name)
  cmake_parse_arguments(arg "MLIR" "" "SOURCES;LINK;DEPENDS;PCH" ${ARGN})
  add_library(kiln_${name} STATIC ${arg_SOURCES})
  target_include_directories(kiln_${name} PUBLIC "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}")
  target_link_libraries(kiln_${name} PUBLIC kiln_options ${arg_LINK})
  if(arg_MLIR)
    target_link_libraries(kiln_${name} PUBLIC kiln_mlir)
    kiln_use_mlir_pch(kiln_${name} ${arg_PCH})
  endif()
  if(arg_DEPENDS)
    add_dependencies(kiln_${name} ${arg_DEPENDS})
  endif()
endfunction()

set(KILN_MLIR_HEADERS
  <string> <vector> <optional> <memory> <functional>
  <mlir/IR/Builders.h> <mlir/IR/BuiltinOps.h> <mlir/IR/BuiltinTypes.h> <mlir/IR/OpImplementation.h>
  <mlir/IR/PatternMatch.h> <mlir/Pass/Pass.h> <mlir/Dialect/Func/IR/FuncOps.h>)
set(KILN_PCH_OPTIONS -fpch-instantiate-templates -Xclang -fno-pch-timestamp)

# kiln_share_pch(TARGET PCH HEADERS ... LINK ... [OPTIONS ...]): TARGET takes the precompiled header of the target PCH, which
# the first that asks makes; OPTIONS are TARGET's too, as a header and its user must agree.
function(kiln_share_pch target pch)
  cmake_parse_arguments(arg "" "" "HEADERS;LINK;OPTIONS" ${ARGN})
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    return()
  endif()
  target_compile_options(${target} PRIVATE ${KILN_PCH_OPTIONS} ${arg_OPTIONS})
  if(NOT TARGET ${pch})
    if(NOT EXISTS "${PROJECT_BINARY_DIR}/${pch}.cpp") # written once: its time decides what is rebuilt
      file(WRITE "${PROJECT_BINARY_DIR}/${pch}.cpp" "")
    endif()
    add_library(${pch} OBJECT "${PROJECT_BINARY_DIR}/${pch}.cpp")
    target_link_libraries(${pch} PUBLIC kiln_options ${arg_LINK})
    target_compile_options(${pch} PRIVATE ${KILN_PCH_OPTIONS} ${arg_OPTIONS})
    target_precompile_headers(${pch} PRIVATE ${arg_HEADERS})
  endif()
  target_precompile_headers(${target} REUSE_FROM ${pch})
  # The header is compiled with -fPIC, which the -fPIE of executables does not match.
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "EXECUTABLE")
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${target} PRIVATE -fPIC)
  endif()
endfunction()

# One precompiled header serves every target that includes MLIR: it cuts a cold build to about a third. Further headers
# make one for the target alone.
function(kiln_use_mlir_pch target)
  if(ARGN AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    target_compile_options(${target} PRIVATE ${KILN_PCH_OPTIONS})
    target_precompile_headers(${target} PRIVATE ${KILN_MLIR_HEADERS} ${ARGN})
  else()
    kiln_share_pch(${target} kiln_mlir_pch HEADERS ${KILN_MLIR_HEADERS} LINK kiln_mlir)
  endif()
endfunction()

# kiln_test(NAME [MLIR] SOURCES ... [LINK ...]): a GoogleTest program, run by ctest as NAME. What stands in the test's own
# files is built without optimisation: it runs once, and compiling it is most of what it costs.
function(kiln_test name)
  cmake_parse_arguments(arg "MLIR" "" "SOURCES;LINK" ${ARGN})
  find_package(GTest REQUIRED)
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}")
  target_link_libraries(${name} PRIVATE kiln_options ${arg_LINK} GTest::gtest GTest::gmock GTest::gtest_main)
  set(headers <string> <vector> <functional> <gmock/gmock.h> <gtest/gtest.h>)
  set(gtest GTest::gtest GTest::gmock)
  if(arg_MLIR)
    target_link_libraries(${name} PRIVATE kiln_mlir)
    kiln_share_pch(${name} kiln_mlir_test_pch HEADERS ${KILN_MLIR_HEADERS} ${headers} LINK kiln_mlir ${gtest} OPTIONS -O0)
  else()
    kiln_share_pch(${name} kiln_test_pch HEADERS ${headers} LINK ${gtest} OPTIONS -O0)
  endif()
  add_test(NAME ${name} COMMAND ${name})
endfunction()

# kiln_exports_plugin(TARGET): the module exports kiln_backend_plugin alone, and lacks nothing.
function(kiln_exports_plugin target)
  target_link_options(${target} PRIVATE "LINKER:--version-script=${PROJECT_SOURCE_DIR}/backends/api/plugin.map")
  if(NOT KILN_SANITIZE) # a sanitizer's runtime is in the program that loads the plugin
    target_link_options(${target} PRIVATE LINKER:--no-undefined)
  endif()
  set_target_properties(${target} PROPERTIES LINK_DEPENDS "${PROJECT_SOURCE_DIR}/backends/api/plugin.map")
endfunction()

# kiln_backend_plugin(NAME SOURCES ... [LINK ...]): a plugin, build/lib/kiln/backends/libkiln_backend_NAME.so.
function(kiln_backend_plugin name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_library(kiln_backend_${name} MODULE ${arg_SOURCES})
  target_include_directories(kiln_backend_${name} PRIVATE "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}")
  target_link_libraries(kiln_backend_${name} PRIVATE kiln_options ${arg_LINK})
  kiln_exports_plugin(kiln_backend_${name})
  set_target_properties(kiln_backend_${name} PROPERTIES
    LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib/kiln/backends")
endfunction()

# kiln_fuzz_test(TARGET [ARGUMENTS]): a program whose source has LLVMFuzzerTestOneInput and, without KILN_LIBFUZZER, a main()
# that damages its own seeds. The one is for the fuzz preset (TARGET CORPUS -max_total_time=600), the other a test.
function(kiln_fuzz_test target)
  if(KILN_SANITIZE STREQUAL "fuzzer")
    target_compile_definitions(${target} PRIVATE KILN_LIBFUZZER)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
  else()
    add_test(NAME ${target} COMMAND ${target} ${ARGN})
  endif()
endfunction()
