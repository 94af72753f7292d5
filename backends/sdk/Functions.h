// The functions that printed text calls.
#pragma once

#include "Emitter.h"
#include <string>

namespace kiln::sdk {

/// Whether the language has the function.
bool hasFunction(const Language &language, bool own, const std::string &name);

/// A constant's bytes as an array of 32-bit words, zero-filled to whole ones, lowest byte first. `entry` stands for it
/// among the names of functions that a text uses (printFunctions prints it); `name` is what the text calls it.
struct Table {
  std::string entry, name;
  explicit Table(const std::string &bytes);
};
/// The largest one in bytes: what every device takes as a shader's constant (OpenCL promises 64 KiB, and an instruction
/// of SPIR-V that lists elements has at most 65535 words).
constexpr size_t largestTable = 65536;
/// With commas between them.
std::string joined(const std::vector<std::string> &words);

} // namespace kiln::sdk
