// The object file that holds a program's data: manifest, constants, weights.
#pragma once

#include "absl/status/statusor.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"

#include <string>

namespace kiln {

struct ImageParts {
  llvm::StringRef manifest;
  llvm::StringRef constants; ///< aligned to 64 in the program
  llvm::StringRef weights;   ///< a whole safetensors file, or empty
  std::string backend;       ///< "cpu": the image refers to kiln_cpu_run_api and kiln_cpu_artifact
  std::string triple;
};

/// An object that defines `kiln_image` (runtime/program/Image.h) for the triple.
absl::StatusOr<llvm::SmallVector<char, 0>> imageObject(const ImageParts &parts);

} // namespace kiln
