// A file's matrix as the blocks of a program.
#pragma once

#include "frontend/gguf/Reader.h"
#include "runtime/support/Tensor.h"

#include <string>
#include <vector>

namespace kiln::gguf {

/// The form that a program stores the matrix in; of another width than the type's own form has room for, in bytes.
BlockForm keptForm(const TensorInfo &tensor, bool columns);
/// The names and types of its parts: numbers, scales and, where there are some, minimums.
std::vector<TensorView> keptTypes(const std::string &name, const TensorInfo &tensor, const BlockForm &form);
/// The parts. `theirs`: which of the file's rows each is; empty: the same.
std::vector<Tensor> keptParts(const std::string &name, const TensorInfo &tensor, const BlockForm &form,
                              const std::vector<int64_t> &theirs);

} // namespace kiln::gguf
