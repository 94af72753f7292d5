// The reference backend's artifact: the kernels' ops in one blob of bytes, little-endian.
//
//   "KREF", version u32, bytes u64 (of the whole), checksum u64 (FNV-1a of what follows), kernels u32, then each
//   kernel: name, kind, extent bounds, values (dtype, dims), inputs, outputs, aliases, ops (number, name, location,
//   operands, results, attributes). Lists and strings carry their length before them.
//
// A length is checked against the bytes that are left before anything is allocated for it.
#pragma once

#include "backends/sdk/Graph.h"

namespace kiln::reference {

constexpr uint32_t blobVersion = 2;

std::string encode(const std::vector<sdk::Graph> &kernels);

/// Graphs that have passed all of sdk::Graph::read's checks. False with a sentence where the bytes are no such blob,
/// cut short, changed, or of another version.
bool decode(const void *data, uint64_t size, std::vector<sdk::Graph> &kernels, std::string &error);

} // namespace kiln::reference
