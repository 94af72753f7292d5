// The parts of the table of ops, and what their writers share.
#pragma once

#include "frontend/onnx/Importer.h"

namespace kiln::onnx {

std::vector<Op> elementwiseOps();
std::vector<Op> reductionOps();
std::vector<Op> shapeOps();
std::vector<Op> indexOps();
std::vector<Op> networkOps();
std::vector<Op> signalOps();
std::vector<Op> recurrentOps();
std::vector<Op> quantisedOps();
std::vector<Op> controlOps();
std::vector<Op> attentionOps();
std::vector<Op> sequenceOps();
std::vector<Op> spaceOps();
std::vector<Op> stateOps();
std::vector<Op> rowOps();
std::vector<Op> microsoftOps();

/// "(2, 3)", or "2" where all are equal and `collapse` asks for it.
std::string tupleText(const std::vector<int64_t> &numbers, bool collapse = false);
/// ":, " for each of so many axes.
std::string colons(int64_t count);
std::string dimsText(const std::vector<Dim> &dims);
/// "axis=1", "axis=(1, 2)"
std::string axisText(const std::vector<int64_t> &axes);
/// x[:, None] and the like: a vector as it stands along axis `at` of a tensor with `rank` axes.
std::string alongAxis(const std::string &vector, int64_t at, int64_t rank);
/// ", name=text"
std::string keyword(const char *name, const std::string &text);
/// The same of an input; empty where the node has none.
std::string optional(Call &call, size_t input, const char *name);
/// "text + x" of an input; the text where the node has none.
std::string plus(Call &call, const std::string &text, size_t input);
/// An attribute's numbers, `each` for every spatial axis, `least` where there is none; refuses another count, and any
/// that is below `least` or beyond a million.
std::vector<int64_t> perAxis(Call &call, const char *name, size_t axes, int64_t least = 1, size_t each = 1);
/// ", name=(2, 3)", or ", name=2" where all are equal; empty where all are `plain`.
std::string option(const char *name, const std::vector<int64_t> &numbers, int64_t plain);
/// Of a Split the sizes of its parts; none where they are equal parts of an open dimension.
std::vector<Dim> splitSizes(Call &call, const Dim &extent);
/// The shape that both broadcast to; refuses where they do not.
std::vector<Dim> broadcastShape(const std::vector<Dim> &a, const std::vector<Dim> &b);
/// x, padded (and, where a number is negative, cut) along each axis. Symbolic where a size is.
std::string padded(Call &call, const std::string &x, const std::vector<Dim> &shape, const std::vector<Dim> &low,
                   const std::vector<Dim> &high, const std::string &value, const std::string &mode = "constant");

} // namespace kiln::onnx
