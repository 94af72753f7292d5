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

# One precompiled header serves every target that includes MLIR: it cuts a cold build to about a third. Further headers
# make one for the target alone.
function(kiln_use_mlir_pch target)
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    set(headers
      <string> <vector> <optional> <memory> <functional>
      <mlir/IR/Builders.h> <mlir/IR/BuiltinOps.h> <mlir/IR/BuiltinTypes.h> <mlir/IR/OpImplementation.h>
      <mlir/IR/PatternMatch.h> <mlir/Pass/Pass.h> <mlir/Dialect/Func/IR/FuncOps.h>)
    target_compile_options(${target} PRIVATE -fpch-instantiate-templates -Xclang -fno-pch-timestamp)
    if(ARGN)
      target_precompile_headers(${target} PRIVATE ${headers} ${ARGN})
      return()
    endif()
    if(NOT TARGET kiln_mlir_pch)
      if(NOT EXISTS "${PROJECT_BINARY_DIR}/kiln_mlir_pch.cpp") # written once: its time decides what is rebuilt
        file(WRITE "${PROJECT_BINARY_DIR}/kiln_mlir_pch.cpp" "")
      endif()
      add_library(kiln_mlir_pch OBJECT "${PROJECT_BINARY_DIR}/kiln_mlir_pch.cpp")
      target_link_libraries(kiln_mlir_pch PUBLIC kiln_options kiln_mlir)
      target_compile_options(kiln_mlir_pch PRIVATE -fpch-instantiate-templates -Xclang -fno-pch-timestamp)
      target_precompile_headers(kiln_mlir_pch PRIVATE ${headers})
    endif()
    target_precompile_headers(${target} REUSE_FROM kiln_mlir_pch)
    # The header is compiled with -fPIC, which the -fPIE of executables does not match.
    get_target_property(type ${target} TYPE)
    if(type STREQUAL "EXECUTABLE")
      set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
      target_compile_options(${target} PRIVATE -fPIC)
    endif()
  endif()
endfunction()

# kiln_test(NAME [MLIR] SOURCES ... [LINK ...]): a GoogleTest program, run by ctest as NAME.
function(kiln_test name)
  cmake_parse_arguments(arg "MLIR" "" "SOURCES;LINK" ${ARGN})
  find_package(GTest REQUIRED)
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}")
  target_link_libraries(${name} PRIVATE kiln_options ${arg_LINK} GTest::gtest GTest::gmock GTest::gtest_main)
  if(arg_MLIR)
    target_link_libraries(${name} PRIVATE kiln_mlir)
    kiln_use_mlir_pch(${name})
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
