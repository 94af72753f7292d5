// What a name of an ONNX graph stands for while Kiln is written: its type, how it is written, and what is known of its
// elements.
#pragma once

#include "frontend/onnx/Model.h"
#include "runtime/support/Dim.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kiln::onnx {

/// One element that is known when the model is read: a number, or an integer made of dimensions, or a part of one.
struct Element {
  Element() = default;
  /*implicit*/ Element(Dim dim) : dim(std::move(dim)), isDim(true) {}
  /*implicit*/ Element(double number) : number(number), isDim(false) {}

  /// A float that is so many of a part of a dimension: where that is no whole number for all sizes.
  static Element ratio(const Dim &dim, int64_t divisor);

  Dim dim;
  double number = 0;
  bool isDim = true;   ///< always so for integers and bool; of a float, where it is a whole number
  int64_t divisor = 1; ///< above 1: it is dim / divisor

  /// The number, where no dimension is open in it.
  std::optional<double> constant() const;
};

/// Along this axis stand as many rows as data decide, then others that mean nothing, up to the axis' extent.
struct Rows {
  int64_t axis;
  std::string count; ///< the name of the scalar that says how many there are
};

/// A single integer that data decide, as another one and what is added to it.
struct Offset {
  std::string base; ///< its name; empty where nothing depends on data
  Dim plus;
};

struct Value {
  std::string text; ///< a name, or empty where nothing has been written yet
  kiln_dtype dtype = KILN_F32;
  std::vector<Dim> shape;
  std::shared_ptr<const std::vector<Element>> known; ///< row-major
  std::shared_ptr<const Constant> constant;
  /// Of what is trained: the elements that it begins with. An op that asks for its settings may have them; nothing is
  /// computed of them when the model is read.
  std::shared_ptr<const std::vector<Element>> initial;
  /// Of a number by a name that an exporter made up: the initialiser, which a batch norm's statistic stays.
  std::shared_ptr<const Constant> counted;
  std::string wish;                                ///< what to call it
  std::shared_ptr<const std::vector<Value>> items; ///< of a sequence of tensors, which is no tensor itself
  std::shared_ptr<const Rows> rows;                ///< null: all of it is there
  std::shared_ptr<const Offset> offset;            ///< null: of itself, where it is a single integer
  /// Of a bool that sizes decide: it is true where this is 0.
  std::shared_ptr<const Dim> zero;
  bool failed = false, trained = true;
  bool statistic = false; ///< of a batch norm in training: a state
  bool sized = false;     ///< `known` is worked out from a shape: what it is multiplied by is no weight

  int64_t rank() const { return static_cast<int64_t>(shape.size()); }
  /// One element, with or without axes.
  bool isSingle() const;
};

/// Above this many elements nothing is computed when the model is read.
constexpr int64_t kMostKnown = 1024;
/// The same of floats: what is larger is a weight.
constexpr int64_t kMostKnownFloats = 16;

/// The value of a constant; its elements are known where they are few.
Value valueOf(std::shared_ptr<const Constant> constant);
/// "f32[B, 4]"
std::string typeText(kiln_dtype dtype, const std::vector<Dim> &shape);
/// A dimension as Kiln writes it: "(T + 1) // 2"; `atom`: in brackets where it is more than a name or number.
std::string dimText(const Dim &dim, bool atom = false);
Dim product(const std::vector<Dim> &dims);
/// A number as Kiln writes it: "0.5", "(-1.0)", "inf", with as many digits as the dtype tells apart.
std::string numberText(double number, kiln_dtype dtype = KILN_F32);
/// An element as Kiln writes it: a number, True, or an expression of dimensions in brackets.
std::string elementText(const Element &element, kiln_dtype dtype);

} // namespace kiln::onnx
