// What is shared by the folding of elements that are known when the model is read.
#pragma once

#include "frontend/onnx/Ops.h"

namespace kiln::onnx {

using Elements = std::vector<Element>;

/// Thrown where an element cannot be told: the op is then written instead.
struct Unknown {};

/// The inputs of a node whose elements are all known.
struct Known {
  Call &call;
  std::vector<Value *> in;

  const Elements &at(size_t index) const {
    if (index >= in.size() || !in[index] || !in[index]->known)
      throw Unknown();
    return *in[index]->known;
  }
  bool isFloating() const { return isFloat(in[0]->dtype); }
};

double numberOf(const Element &element);
/// An integer with no dimension in it.
int64_t wholeOf(const Element &element);
std::vector<int64_t> numbers(const std::vector<Dim> &shape);
std::vector<int64_t> strides(const std::vector<int64_t> &shape);
int64_t linear(const std::vector<int64_t> &at, const std::vector<int64_t> &strides);
/// Where an element of a broadcast operand stands.
int64_t broadcastAt(const std::vector<int64_t> &at, const std::vector<int64_t> &shape);

/// Calls `visit` with each position of a shape, in order. What is large is not computed here: a small file may ask for
/// any size.
template <typename Visit> void eachPosition(const std::vector<int64_t> &shape, Visit visit) {
  int64_t total = 1;
  for (int64_t n : shape)
    if (__builtin_mul_overflow(total, n, &total) || total > 4 * kMostKnown)
      throw Unknown();
  std::vector<int64_t> at(shape.size(), 0);
  for (int64_t i = 0; i < total; ++i) {
    visit(at);
    for (size_t d = shape.size(); d-- > 0;) {
      if (++at[d] < shape[d])
        break;
      at[d] = 0;
    }
  }
}

/// Integers picked and put by place, repeated, and the smallest and largest; false of another op.
bool foldPlaces(Known &k, const std::string &op);

} // namespace kiln::onnx
