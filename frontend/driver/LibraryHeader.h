// The C header of a model's library (--emit shared), and the names that the library exports.
#pragma once

#include "runtime/program/Manifest.h"

#include "absl/status/statusor.h"

#include <string>
#include <utility>
#include <vector>

namespace kiln {

/// In the first lines of every such header.
inline constexpr char kLibraryHeaderMark[] = "written by kiln. Build with: ";

/// What a model's functions begin with: its name in lower case with '_' between words ("FineTuned": "fine_tuned").
std::string libraryPrefix(const std::string &model);

/// Each function as it is seen from outside, with the runtime's function that it is.
std::vector<std::pair<std::string, std::string>> libraryExports(const std::string &model);

/// runtime/library/library.h under the model's name, with its functions, inputs, outputs, dtypes and shapes as a
/// comment. `library` is the file's name ("libgpt.so"). An error where a tensor has more dimensions than the header's.
absl::StatusOr<std::string> libraryHeader(const Manifest &manifest, const std::string &library);

} // namespace kiln
