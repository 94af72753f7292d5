// A group's body as a kiln_kernel.
#pragma once

#include "passes/PlanMemory/PlanMemory.h"
#include "runtime/backend/Tables.h"

#include "llvm/Support/Allocator.h"

#include <string>
#include <vector>

namespace kiln::host {

/// Memory for the C structs: what is put here stays where it is until the arena goes.
class Pool {
public:
  kiln_string string(llvm::StringRef text);
  template <typename T> const T *array(llvm::ArrayRef<T> values) {
    T *memory = allocator.Allocate<T>(values.size());
    std::uninitialized_copy(values.begin(), values.end(), memory);
    return memory;
  }

private:
  llvm::BumpPtrAllocator allocator;
};

/// A kernel, and what one of its launches adds: the meaning of each of its extents.
struct KernelForm {
  kiln_kernel kernel = {};  ///< without a name
  std::string key;          ///< equal for kernels that are the same but for names and places in the source
  std::string title;        ///< a C identifier that tells a reader what it does
  std::vector<Dim> extents; ///< by slot; a loop's counter is the symbol "@0" (outermost), "@1", ...
};

/// Builds the form of a group of the function with these bounds. An error names the op.
mlir::FailureOr<KernelForm> formKernel(GroupOp group, const plan::Bounds &bounds, Pool &pool);

kiln_dtype dtypeOf(mlir::Type elementType);
llvm::StringRef dtypeName(kiln_dtype dtype);
/// The place in the source that a user should look at.
kiln_location locationOf(mlir::Location location, Pool &pool);
std::string locationText(mlir::Location location);
/// Little-endian elements, row-major; one element for a splat. A bool takes a byte.
mlir::FailureOr<std::string> elementData(mlir::ElementsAttr elements);

} // namespace kiln::host
