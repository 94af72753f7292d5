// The object file that holds a program's data: manifest, constants, weights.
#pragma once

#include "absl/status/statusor.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"

#include <array>
#include <string>
#include <vector>

namespace kiln {

struct ImageBackend {
  std::string name;   ///< without a plugin: the image refers to the kiln_backend_fn kiln_backend_<name>
  std::string plugin; ///< a shared object's name, beside the program; empty where an archive is linked
  std::array<uint8_t, 32> pluginDigest{}; ///< its SHA-256
  uint32_t artifactVersion = 0;           ///< of the plugin, where it states one: in place of the digest
  llvm::StringRef artifact;               ///< bytes, or empty
  std::string artifactSymbol;             ///< what linked objects define, where there are no bytes
};

struct Manifest;

struct ImageParts {
  llvm::StringRef manifest;
  llvm::StringRef constants; ///< aligned to 64 in the program
  uint64_t weightBytes = 0;  ///< of the weights that are put behind the program
  llvm::StringRef tokenizer; ///< a tokenizer.json's text; empty: none
  std::vector<ImageBackend> backends;
  std::vector<std::string> readers; ///< of data, by their names in the recipe (runtime/data/Source.h)
  bool generates = false;           ///< draws sequences
  bool texts = false;               ///< runs on texts
  bool tokenizers = false;          ///< reads tokenizer.json
  bool recordings = false;          ///< reads .wav files
  bool hears = false;               ///< and answers them
  bool rows = false;                ///< runs on rows of data
  bool units = false;               ///< and tells results in the units of what is normalised
  bool pictures = false;            ///< and on pictures
  bool labels = false;              ///< and names classes
  bool shards = false;              ///< batches are cut
  bool rules = false;               ///< has rules of answers
  bool chats = false;               ///< has the turns of a conversation
  std::string triple;
};

/// Names the readers of the recipe's data, each once, and what else of the runtime a program has only where it is asked
/// for (`tokenizer` is set). A library has no commands: it runs, trains, loads and saves.
void chooseParts(const Manifest &manifest, bool library, ImageParts &parts);

/// An object that defines `kiln_image` (runtime/program/Image.h), and which readers it links, for the triple.
absl::StatusOr<llvm::SmallVector<char, 0>> imageObject(const ImageParts &parts);

} // namespace kiln
