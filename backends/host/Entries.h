// The kernels and entries of a program, as the C ABI has them, and what the manifest says beyond that.
#pragma once

#include "backends/host/Kernel.h"

#include "passes/PlanMemory/PlanMemory.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"

namespace kiln::host {

/// The kernels of the program, each once.
class Kernels {
public:
  struct Origin {
    uint32_t target;    ///< the backend that it is on
    std::string reason; ///< why not the first; empty where it is
  };

  /// The number of the group's kernel; it is taken where the kernel is new.
  uint32_t add(GroupOp group, GroupKernel &formed, GroupKernels &groupKernels);

  const std::vector<kiln_kernel> &rows() const { return rows_; }
  /// Of each kernel.
  const std::vector<Origin> &origins() const { return origins_; }
  const std::string &form(size_t kernel) const { return owned_[kernel]->form; }

private:
  std::vector<kiln_kernel> rows_;
  std::vector<Origin> origins_;
  std::vector<std::unique_ptr<GroupKernel>> owned_; ///< what the rows point to
  llvm::StringMap<uint32_t> byKey_;                 ///< by target and the kernel's key
};

/// The program's constants, each once.
class Constants {
public:
  explicit Constants(int64_t alignment) : alignment_(alignment) {}
  mlir::FailureOr<int64_t> offsetOf(ConstantOp constant);
  const std::string &bytes() const { return bytes_; }

private:
  int64_t alignment_;
  std::string bytes_;
  llvm::DenseMap<mlir::Attribute, int64_t> offsets_;
};

/// A planned argument's role and name, as the manifest has them.
struct ArgumentTitle {
  std::string role, name;
};
ArgumentTitle titleOf(const plan::Argument &argument, size_t number);

/// What the manifest says of an entry beside its row.
struct EntryDescription {
  struct Symbol {
    std::string name;
    int64_t bound = 0;
    std::optional<int64_t> least; ///< where it is above 1
    std::optional<int64_t> limit; ///< the highest bound that the model's text allows, where it names one
    std::string limitName;        ///< what --set raises it by; empty: the text alone does
  };
  std::vector<plan::Argument> arguments;
  std::vector<Symbol> symbols;
  std::vector<Dim> nonEmpty; ///< have to be at least 1
  std::vector<Dim> extents;  ///< the table: symbols, expressions over them, then the loops' counters
  int64_t lowerBound = 0;
  std::vector<plan::RedZone> redZones;
  std::string memory; ///< for people: plan::explain
};

class Entries {
public:
  explicit Entries(int64_t alignment) : constants_(alignment) {}

  /// Adds the planned function as an entry, and its kernels where they are new.
  mlir::LogicalResult add(const plan::FunctionPlan &plan, llvm::StringRef name, Kernels &kernels,
                          GroupKernels &groupKernels);

  const std::vector<EntryRow> &rows() const { return rows_; }
  /// Of each entry.
  const std::vector<EntryDescription> &descriptions() const { return descriptions_; }
  const std::string &constants() const { return constants_.bytes(); }

private:
  Pool pool_; ///< what the rows point to
  std::vector<EntryRow> rows_;
  std::vector<EntryDescription> descriptions_;
  Constants constants_;
};

} // namespace kiln::host
