// What the codes of kiln.decode stand for, as f32 in registers.
#pragma once

#include "backends/api/kiln_codes.h"
#include "backends/cpu/compile/Code.h"

namespace kiln::cpu {

/// Of codes as i32, one or a vector of them; whatever is above their bits does not count.
mlir::Value decoded(Code &code, Coding coding, mlir::Value codes);
/// Of a vector of bytes, for a coding of eight bits.
mlir::Value decodedBytes(Code &code, Coding coding, mlir::Value bytes);

} // namespace kiln::cpu
