// What is to be compiled, for what, and how.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kiln {

struct WeightSet;

/// "1.5GB", "800MiB", "4000000": false for what is no size, or nothing.
bool parseBytes(const std::string &text, int64_t &bytes);

/// Whether `--weights-as` names a file of blocks, in place of a form.
inline bool namesFile(const std::string &weightsAs) { return weightsAs.ends_with(".safetensors"); }

struct ModelOptions {
  std::string file; ///< the model's .kiln text, or an ONNX file
  /// The text itself, where it is not what the file holds (an editor's); locations name the file.
  std::optional<std::string> text;
  std::string model; ///< empty: the file's only one
  std::vector<std::pair<std::string, std::string>> set;
  std::map<std::string, int64_t> bounds;
  std::vector<std::pair<std::string, std::string>> data; ///< of recipes: by name, the path in place of the text's
  std::map<std::string, std::string> dims; ///< of an ONNX file: dimensions that are to be numbers or expressions
  std::vector<std::string> entries;        ///< empty: all
  std::string backend = "cpu";
  std::string targetCpu; ///< empty: "native", for another machine "generic"
  std::string triple;
  std::string targetDevice;                ///< a device profile of the backend; empty: portable
  std::string math;                        ///< "strict" (also where empty) or "fast"
  std::string compute;                     ///< "bf16": of products' operands, in all entries; empty: as recipes say
  std::vector<std::string> backendOptions; ///< "[BACKEND.]NAME=VALUE"
  bool startsProgram = false;              ///< what of these concerns a program's start is wanted too: startOptions()
  std::string weights;
  std::string weightsAs;  ///< "bf16": the type that matrices are stored in; empty: what the model declares
  std::string importance; ///< a file that an observing program has written: what matrices are rounded by
  bool observe = false;   ///< `forward` tells what is multiplied with its matrices, in place of its results
  /// What an import brings in place of `weights` (runtime/program/Weights.h); a compile takes from it what the model
  /// does not need.
  std::shared_ptr<WeightSet> weightSet;
  std::string tokenizer;                  ///< a tokenizer.json's text, by which the program reads; empty: none
  std::vector<std::string> origins;       ///< of an imported text's lines: where in the file they come from
  std::vector<std::string> importedFiles; ///< that the model takes from beside `file`: no output takes their place
  std::string saveStages;
  bool timePasses = false;
  bool redZones = false; ///< memory between all buffers that nobody may write, looked at after each launch
  /// Composites that a backend names are offered to it whole; else all are decomposed.
  bool wholeComposites = true;
  bool verifyStages = false;  ///< what each stage of the compile promises, looked at
  bool everyModel = false;    ///< all models of a file with several, none of them named: checked, and no module
  int64_t blockRows = 0;      ///< rows of logits that a block has at least; 0: as the pass thinks best
  int64_t memoryBudget = 0;   ///< bytes that a training step may hold while it runs; 0: as many as it likes
  int64_t shards = 0;         ///< of a batch, by each of which a training step computes for itself; 0: it is not cut
  bool symbolicBatch = false; ///< keep the batch of the loss open
  bool cache = false; ///< kernels of other builds are taken, and this one's kept (runtime/support/CacheFolder.h)
  uint32_t jobs = 0;  ///< 0: as many as there are cores
};

} // namespace kiln
