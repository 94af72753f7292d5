// Linking of a program from objects in memory, by lld in this process.
#pragma once

#include "runtime/support/Tensor.h"

#include "absl/status/status.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace kiln {

/// Bytes in memory (or mapped) that outlive the link.
struct ObjectBytes {
  const uint8_t *data;
  size_t size;
};

/// A processor that programs are linked for.
struct LinkTarget {
  const char *triple; ///< of Debian's folders
  const char *emulation, *loader;
};

/// What a triple's programs are linked as; null where they are for no system that is known here.
const LinkTarget *linkTargetOf(const std::string &triple);
/// This machine's.
const LinkTarget *linkTargetHere();

struct LinkJob {
  const LinkTarget *target = linkTargetHere();
  /// The folder that the target's libraries lie in, as on its own system; KILN_SYSROOT comes first.
  std::string sysroot;
  std::vector<ObjectBytes> objects;
  std::vector<std::string> archives; ///< paths, in link order
  std::string output;                ///< replaced atomically
  /// Bytes that are put behind what is linked, piece after piece: a safetensors file, or none.
  std::vector<TensorView> weights;
  uint64_t weightBytes = 0; ///< of all of them
  bool shared = false;      ///< a shared library in place of an executable
  /// Of a library: the names that it exports, each with the symbol that it stands for; nothing else is visible. None:
  /// all is.
  std::vector<std::pair<std::string, std::string>> exports;
};

/// The file that KILN_LINK_MAP names for what is linked, by object and section; null: none is wanted.
const char *linkMap();

/// Links against the system's C and C++ runtime. Errors: a toolchain file that is missing (named, with the package that
/// has it), an output that cannot be written, or the linker's own words.
absl::Status link(const LinkJob &job);

} // namespace kiln
