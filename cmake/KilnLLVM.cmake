# LLVM, MLIR and lld 19. MLIR's package brings LLVM's with it; `find_package(LLVM 19)` is refused by its version file.
find_package(MLIR REQUIRED CONFIG HINTS /usr/lib/llvm-19/lib/cmake/mlir)
find_package(LLD REQUIRED CONFIG HINTS /usr/lib/llvm-19/lib/cmake/lld)
if(NOT LLVM_PACKAGE_VERSION MATCHES "^19\\.")
  message(FATAL_ERROR "Kiln needs LLVM and MLIR 19, found ${LLVM_PACKAGE_VERSION} in ${LLVM_DIR}; pass -DMLIR_DIR=/usr/lib/llvm-19/lib/cmake/mlir")
endif()
list(APPEND CMAKE_MODULE_PATH "${MLIR_CMAKE_DIR}" "${LLVM_CMAKE_DIR}")
include(TableGen)
include(AddLLVM)
include(AddMLIR)

# Headers of LLVM are not ours to fix: -isystem. RTTI on, exceptions off, as Debian's libraries were built.
add_library(kiln_mlir INTERFACE)
target_include_directories(kiln_mlir SYSTEM INTERFACE ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS} ${LLD_INCLUDE_DIRS})
target_compile_options(kiln_mlir INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions>)
target_link_libraries(kiln_mlir INTERFACE MLIR LLVM)
