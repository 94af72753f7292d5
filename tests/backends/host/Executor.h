// Runs an entry of a kiln_program on plain bytes, each launch by the reference interpreter: what a backend would do, if
// it were slow. Shows a plan's offsets, strides and copies right or wrong without any backend.
#pragma once

#include "backends/host/Program.h"
#include "ir/interpreter/Interpreter.h"

namespace kiln {

/// `module` is the one that the program was built from, after buildProgram; `function` names the entry's function
/// there. Arguments are those of the function; the results come back in its order.
absl::StatusOr<std::vector<HostTensor>> execute(const host::OwnedProgram &program, mlir::ModuleOp module,
                                                llvm::StringRef function, llvm::StringRef entry,
                                                llvm::ArrayRef<HostTensor> arguments,
                                                const std::map<std::string, int64_t> &symbols);

} // namespace kiln
