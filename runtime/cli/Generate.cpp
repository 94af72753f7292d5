// PROGRAM generate
#include "runtime/cli/Commands.h"
#include "runtime/support/Error.h"

namespace kiln {

int generateCommand(const Options &, Common &) { fail("this program has no `generate` recipe"); }

} // namespace kiln
