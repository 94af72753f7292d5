// Every pass of Kiln, by name.
#pragma once

namespace kiln {

/// Makes each pass available to kiln-opt by its flag (`--kiln-simplify`), and the whole way as `--kiln-compile`.
void registerPasses();

} // namespace kiln
