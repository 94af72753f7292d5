// What an OwnedProgram owns, for the files that fill it.
#pragma once

#include "backends/host/Kernel.h"
#include "backends/host/Program.h"
#include "runtime/backend/Placement.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"
// MLIR is built without exceptions.
#define JSON_NOEXCEPTION
#include "nlohmann/json.hpp"

namespace kiln::host {

struct OwnedProgram::Storage {
  Pool pool;
  kiln_program program = {};
  std::string manifestText;
  std::vector<kiln_kernel> kernels;
  std::vector<EntryRow> entries;
  std::string constants;

  llvm::StringMap<uint32_t> kernelByKey;
  std::vector<Target> targets;
  std::vector<Capabilities> capabilities; ///< of each target
  bool describeInputs = false;
  int64_t alignment = 64;             ///< of places in the arena and the constants: what the strictest target asks for
  std::vector<uint32_t> kernelTarget; ///< by kernel, among the targets
  std::vector<uint32_t> used;         ///< targets that have kernels; the first always
  std::vector<std::string> kernelReasons; ///< why a kernel is not on the first target
  std::unique_ptr<Placement> placement;
  llvm::StringMap<Answer> answers; ///< by key without aliases: scratch does not depend on them
  llvm::DenseMap<mlir::Attribute, int64_t> constantOffsets;
  nlohmann::ordered_json kernelsJson = nlohmann::ordered_json::array();
  nlohmann::ordered_json entriesJson = nlohmann::ordered_json::array();
  std::vector<std::pair<std::string, std::string>> memoryTexts; ///< by entry
  std::vector<std::string> refusals;
  std::vector<std::string> kernelTexts;
};

/// Offers each group of the function to the first target, splits those refused, and offers what is refused in any form
/// to the others; leaves only claimed ones. The claims are
/// kept in the storage. An error names a single op that was refused.
mlir::LogicalResult claimGroups(mlir::func::FuncOp function, OwnedProgram::Storage &storage);

/// Which of the storage's targets a claimed group is on.
uint32_t targetOf(GroupOp group);
/// Why it is not on the first; empty where it is.
std::string placementReason(GroupOp group);

/// Scratch of a group that was claimed.
mlir::FailureOr<int64_t> claimedScratch(GroupOp group, OwnedProgram::Storage &storage);

/// Adds the planned function to the program: its kernels where they are new, its tree and its part of the manifest.
mlir::LogicalResult addEntry(const plan::FunctionPlan &plan, llvm::StringRef name, OwnedProgram::Storage &storage);

/// The whole manifest.
std::string writeManifest(mlir::ModuleOp module, OwnedProgram::Storage &storage);

/// An argument's or result's role, name, dtype and shape.
nlohmann::ordered_json argumentJson(const plan::Argument &argument, unsigned number);
nlohmann::ordered_json toJson(mlir::Attribute attribute);

} // namespace kiln::host
