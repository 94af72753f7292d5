// A group's body as a kiln_kernel.
#pragma once

#include "passes/PlanMemory/PlanMemory.h"
#include "runtime/backend/Tables.h"

#include "llvm/Support/Allocator.h"

#include <memory>
#include <string>
#include <vector>

namespace kiln::host {

/// Memory for the C structs: what is put here stays where it is until the arena goes.
class Pool {
public:
  kiln_string string(llvm::StringRef text);
  template <typename T> T *array(llvm::ArrayRef<T> values) {
    T *memory = allocator.Allocate<T>(values.size());
    std::uninitialized_copy(values.begin(), values.end(), memory);
    return memory;
  }

private:
  llvm::BumpPtrAllocator allocator;
};

/// The counter of the loop that has so many loops around it, as an extent: a Dim of its own kind, no symbol of the
/// model's. Written "@0" (outermost), "@1", …, which no text of a dimension can name.
Dim loopCounter(unsigned level);
/// Which loop's counter this is; nullopt for everything else.
std::optional<unsigned> loopLevel(const Dim &dim);

/// A group's kernel, and what the group's launch adds: the meaning of each of its extents. Owns what the kernel points
/// to.
struct GroupKernel {
  kiln_kernel kernel = {};              ///< without a name
  std::string key;                      ///< equal for kernels that are the same but for names and places in the source
  std::string title;                    ///< a C identifier that tells a reader what it does
  std::string form;                     ///< how its backend says that it will compute it
  std::vector<Dim> extents;             ///< by slot; a loop's counter is a loopCounter
  std::vector<int64_t> extentsAtBounds; ///< of this launch (a kernel may be shared by launches of any size)
  Pool pool;

  /// For each result the operand of the group whose memory it has, or -1: part of the kernel and of its key.
  void setAliases(llvm::ArrayRef<int32_t> aliases);

  llvm::SmallVector<int32_t> aliases;  ///< as set
  std::vector<int32_t> inputOfOperand; ///< the kernel's input that a group's operand is; -1 for a loop's counter
  size_t ownKey = 0;                   ///< how much of the key does not depend on the aliases
};

/// The groups' kernels, each formed once. A group carries the number of its own, `kiln.formed`; one that is split takes
/// it along into oblivion, and its pieces have none yet.
class GroupKernels {
public:
  /// The kernel with the aliases that the group has now. An error names the op that no kernel can hold.
  mlir::FailureOr<GroupKernel *> of(GroupOp group);
  /// Hands it over: `of` makes a new one.
  std::unique_ptr<GroupKernel> take(GroupOp group);
  /// What an earlier compile left in the function is not of these.
  static void clear(mlir::func::FuncOp function);

private:
  std::vector<std::unique_ptr<GroupKernel>> kernels_;
};

kiln_dtype dtypeOf(mlir::Type elementType);
llvm::StringRef dtypeName(kiln_dtype dtype);
kiln_location locationOf(mlir::Location location, Pool &pool);
/// "gpt.kiln:12:9: error: what is wrong", a line.
std::string errorText(const mlir::Diagnostic &diagnostic);

} // namespace kiln::host
