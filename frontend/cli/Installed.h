// The Kiln that this program belongs to.
#pragma once

#include "frontend/driver/Compile.h"

namespace kiln {

/// What lies beside this executable: ../lib of an installed or a built kiln.
Installation &installed();

/// Loads the model. Errors of its text are printed on stderr, as every command does; the status then only says that
/// there were some.
absl::Status loadPrinting(Compilation &compilation);
/// The same, and on to the plan.
absl::Status compileToPlan(Compilation &compilation);
/// The same, and on to the backends' code, or to what they leave at a stage.
absl::Status compileAll(Compilation &compilation, const std::string &emit = "");

} // namespace kiln
