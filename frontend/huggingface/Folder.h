// A folder as Hugging Face has them (config.json, model.safetensors or its shards, tokenizer.json) as a Kiln text and
// its weights.
#pragma once

#include "frontend/huggingface/Settings.h"
#include "runtime/files/Safetensors.h"

#include <string>
#include <vector>

namespace kiln::huggingface {

struct Imported {
  std::string model;         ///< the model's name in the text
  std::string text;          ///< Kiln; its parameters are the tensors
  Safetensors tensors;       ///< as the model calls them, mapped; what a model computes by itself may be among them
  std::string tokenizer;     ///< tokenizer.json's text; empty: there is none
  bool ownTokenizer = false; ///< the tokenizer is of other files than a tokenizer.json
  std::string weights; ///< the file of the tensors, or the index of several; empty where there is none of that form
  /// The files' tensors are the text's parameters behind this prefix, which `--load` takes; empty: by the same names.
  std::string prefix;
  std::vector<std::string> notes; ///< what was left out
  /// What the rules are made of: what is cut off the front of names, which tensors are left out, are others renamed?
  std::string strip;
  std::vector<std::string> ignored;
  bool renamed = false;
  bool gathered = false;            ///< the tensors are of several files, or are made of theirs: no option names them
  std::vector<std::string> renames; ///< "OLD=NEW": what the text calls otherwise

  /// What the rules are as options of a program, beside `--load`: " --strip bert.".
  std::string rules() const;
};

/// Is it a folder with a config.json?
bool isFolder(const std::string &path);

/// Reads the folder. `architecture`: the model, where it is not the one that config.json names. Throws Error: what is
/// missing, damaged or not known, and where. Quantised matrices are widened to f32, or, with `keepBlocks`, go into
/// blocks that a program reads, where some hold them to the bit.
Imported readFolder(const std::string &path, const std::string &architecture = "", bool keepBlocks = false);

/// The model of these settings with these tensors, which its names are found for; there is no tokenizer yet. Throws
/// Error.
Imported makeModel(Settings settings, Safetensors tensors, const std::string &architecture);

} // namespace kiln::huggingface
