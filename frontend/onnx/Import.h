// From an ONNX model to Kiln: a text that reads as one written by hand, and the weights that it names.
#pragma once

#include "frontend/onnx/Model.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace kiln::onnx {

struct ImportOptions {
  std::string name = "Model";              ///< what the model is called
  std::map<std::string, int64_t> bounds;   ///< upper bounds of dimensions: `f32[B <= 8]`
  std::map<std::string, std::string> dims; ///< dimensions that are to be numbers, or expressions as 32*H
  bool train = false;       ///< the text is to be trained: with a recipe, batch norms and dropout as in training
  std::string weights = {}; ///< with `train`: the file of the weights, as the recipe calls it
  bool flat = false;        ///< repeated statements stay as they are, and become no modules
  std::map<std::string, int64_t> least = {}; ///< lower bounds of dimensions: `f32[T >= 3]`
  std::set<std::string> implied = {};        ///< of `bounds` those that are the graph's own: nobody has said them
};

/// A dimension that the file leaves open.
struct OpenDim {
  std::string name, theirs; ///< as the text calls it, and as the file does, which may have no name for it
  std::string where;        ///< "axis 2 of x"
  int64_t likely = 0;       ///< a bound that is enough for most uses of such a dimension
};

/// What came of a model.
struct Imported {
  std::string text; ///< empty where there are problems
  /// The parameters and states of the text by their names in the file; they point into the model, or into `own`.
  std::vector<TensorView> weights;
  std::vector<std::shared_ptr<const Constant>> own;
  std::vector<std::string> problems; ///< each a sentence with the node's name
  std::vector<std::string>
      origins;                   ///< of the text's lines: the nodes that a line is written for, as messages name them
  std::vector<std::string> open; ///< dimensions that have no bound yet
  std::vector<OpenDim> dims;     ///< all that are open
  /// What problems have shown of dimensions: that they have to be a number, and which bound would do.
  std::map<std::string, int64_t> exact, fitting;
  bool lossIsOpen = false; ///< what the recipe minimises is left to name
  bool folded = false;     ///< repeated statements have become modules
};

/// Never throws for what a model holds: all that keeps it from being imported is among the problems.
Imported importModel(const Model &model, const ImportOptions &options);

/// A name of the language made of any text; `fallback` where nothing of it can be used.
std::string identifier(const std::string &text, const std::string &fallback);

/// The table of ops, as Markdown: what an op becomes, its opsets, what of it is refused.
std::string opsTable();

} // namespace kiln::onnx
