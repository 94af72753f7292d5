// How large the dimensions are that a file leaves open: what is likely, and what a graph is right for.
#pragma once

#include "frontend/onnx/Import.h"
#include "runtime/support/Dim.h"

#include <optional>

namespace kiln::onnx {

/// A bound for this axis of an input, by its place and by the names: enough for most uses.
int64_t likelySize(const ValueInfo &input, size_t axis);

struct Sizes {
  int64_t least = 1, most = 1;
};
/// The first sizes of an expression's one symbol, one behind the other, for which it is this number.
std::optional<Sizes> sizesWhere(const Dim &dim, int64_t number);

/// Is what is wrong, which stands at the end of a problem's sentence, of this dimension?
bool isOfDim(const std::string &problem, const std::string &dim);

/// --bound and --dim by the text's names of dimensions. What names none is taken out, and told.
std::vector<std::string> settleNames(const Model &model, ImportOptions &options);

/// Imports. Where the graph is right for some sizes alone, it is for these: what was added to options.dims is told in
/// `added`.
Imported importFitting(const Model &model, ImportOptions &options, std::map<std::string, std::string> &added);

} // namespace kiln::onnx
