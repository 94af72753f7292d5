// One function an op; each error is a sentence of its own.

#include "ir/Infer.h"

#include "backends/api/kiln_codes.h"

#include "llvm/ADT/SmallSet.h"
#include "llvm/Support/raw_ostream.h"

using llvm::ArrayRef;
using llvm::SmallVector;
using llvm::Twine;
using mlir::RankedTensorType;

namespace kiln {

namespace {

Inferred failed(const Twine &message) { return {RankedTensorType(), message.str()}; }
Inferred inferred(ArrayRef<Dim> dims, mlir::Type element) { return {tensorType(dims, element), ""}; }

std::string list(ArrayRef<int64_t> values) {
  std::string text = "[";
  for (size_t i = 0; i < values.size(); ++i)
    text += (i ? ", " : "") + std::to_string(values[i]);
  return text + "]";
}

/// An error text when the axes are not distinct and inside [0, rank); empty
/// when they are.
std::string checkAxes(ArrayRef<int64_t> axes, int64_t rank, bool increasing) {
  llvm::SmallSet<int64_t, 8> seen;
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] < 0 || axes[i] >= rank)
      return "axis " + std::to_string(axes[i]) + " is outside [0, " + std::to_string(rank) + ")";
    if (!seen.insert(axes[i]).second)
      return "axis " + std::to_string(axes[i]) + " is named twice in " + list(axes);
    if (increasing && i > 0 && axes[i] < axes[i - 1])
      return "axes must increase, found " + list(axes);
  }
  return "";
}

std::string atAxis(int64_t axis) { return " at axis " + std::to_string(axis); }

bool isFloat(mlir::Type type) { return llvm::isa<mlir::FloatType>(type); }

/// Products may widen: f32 for bf16 and f16, i32 for 8-bit integers.
bool mayAccumulate(mlir::Type operand, mlir::Type result) {
  if (operand == result)
    return true;
  if (operand.isBF16() || operand.isF16())
    return result.isF32();
  return operand.isInteger(8) && result.isSignlessInteger(32);
}

} // namespace

Dim productOf(ArrayRef<Dim> dims) {
  Dim symbolic(1);
  int64_t number = 1;
  for (const Dim &dim : dims) { // numbers by themselves: most dimensions are, and a polynomial is slow to multiply
    int64_t product;
    if (std::optional<int64_t> constant = dim.constant();
        constant && !__builtin_mul_overflow(number, *constant, &product))
      number = product;
    else
      symbolic = symbolic * dim;
  }
  return symbolic * Dim(number);
}

std::string describe(mlir::Type type) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  auto tensor = llvm::dyn_cast<RankedTensorType>(type);
  if (!tensor) {
    stream << type;
    return text;
  }
  stream << tensor.getElementType() << "[";
  llvm::interleaveComma(dimsOf(tensor), stream, [&](const Dim &dim) { stream << dim.str(); });
  stream << "]";
  return text;
}

Inferred inferReduce(ReduceKind kind, RankedTensorType operand, ArrayRef<int64_t> axes) {
  if (std::string error = checkAxes(axes, operand.getRank(), /*increasing=*/true); !error.empty())
    return failed("(C1) " + error);
  if ((kind == ReduceKind::any || kind == ReduceKind::all) && !operand.getElementType().isInteger(1))
    return failed("(C3) " + stringifyReduceKind(kind) + " takes i1, found " + describe(operand));
  SmallVector<Dim> dims;
  for (auto [axis, dim] : llvm::enumerate(dimsOf(operand)))
    if (!llvm::is_contained(axes, static_cast<int64_t>(axis)))
      dims.push_back(dim);
  return inferred(dims, operand.getElementType());
}

Inferred inferArgReduce(RankedTensorType operand, int64_t axis, mlir::Type element) {
  if (std::string error = checkAxes({axis}, operand.getRank(), false); !error.empty())
    return failed("(C1) " + error);
  if (operand.getDimSize(axis) == 0)
    return failed("(C1) the dimension" + atAxis(axis) + " is 0, so there is no largest or smallest element");
  if (!element.isSignlessInteger(32) && !element.isSignlessInteger(64))
    return failed("(C2) the result's element type must be i32 or i64");
  SmallVector<Dim> dims = dimsOf(operand);
  dims.erase(dims.begin() + axis);
  return inferred(dims, element);
}

Inferred inferCompare(RankedTensorType lhs, RankedTensorType rhs) {
  if (lhs != rhs)
    return failed("(C1) operands must have one type, found " + describe(lhs) + " and " + describe(rhs));
  return {withElement(lhs, mlir::IntegerType::get(lhs.getContext(), 1)), ""};
}

Inferred inferReshape(RankedTensorType operand, ArrayRef<Dim> dims) {
  Dim before = productOf(dimsOf(operand)), after = productOf(dims);
  if (before != after)
    return failed("(C2) " + describe(operand) + " has " + before.str() + " elements, the result " +
                  describe(tensorType(dims, operand.getElementType())) + " has " + after.str());
  return inferred(dims, operand.getElementType());
}

Inferred inferTranspose(RankedTensorType operand, ArrayRef<int64_t> permutation) {
  int64_t rank = operand.getRank();
  if (static_cast<int64_t>(permutation.size()) != rank)
    return failed("(C1) the permutation " + list(permutation) + " has " + Twine(permutation.size()) +
                  " entries, the operand rank " + Twine(rank));
  if (std::string error = checkAxes(permutation, rank, false); !error.empty())
    return failed("(C1) " + error);
  SmallVector<Dim> dims, from = dimsOf(operand);
  for (int64_t axis : permutation)
    dims.push_back(from[axis]);
  return inferred(dims, operand.getElementType());
}

Inferred inferBroadcast(RankedTensorType operand, ArrayRef<int64_t> axes, ArrayRef<Dim> dims) {
  int64_t rank = operand.getRank();
  if (static_cast<int64_t>(axes.size()) != rank)
    return failed("(C1) axes " + list(axes) + " has " + Twine(axes.size()) + " entries, the operand rank " +
                  Twine(rank));
  if (std::string error = checkAxes(axes, dims.size(), /*increasing=*/true); !error.empty())
    return failed("(C1) " + error);
  SmallVector<Dim> from = dimsOf(operand);
  for (auto [axis, to] : llvm::enumerate(axes))
    if (from[axis] != Dim(1) && from[axis] != dims[to])
      return failed("(C2) operand dimension " + from[axis].str() + atAxis(axis) + " must be 1 or the result's " +
                    dims[to].str() + atAxis(to));
  return inferred(dims, operand.getElementType());
}

Inferred inferSlice(RankedTensorType operand, ArrayRef<Dim> starts, ArrayRef<Dim> sizes, ArrayRef<int64_t> strides) {
  size_t rank = operand.getRank();
  if (starts.size() != rank || strides.size() != rank)
    return failed("(C1) expected " + Twine(rank) + " starts and strides, found " + Twine(starts.size()) + " and " +
                  Twine(strides.size()));
  if (sizes.size() != rank)
    return failed("(C2) the result has rank " + Twine(sizes.size()) + ", the operand rank " + Twine(rank));
  SmallVector<Dim> from = dimsOf(operand);
  for (size_t axis = 0; axis < rank; ++axis) {
    if (strides[axis] < 1)
      return failed("(C1) stride " + Twine(strides[axis]) + atAxis(axis) + " is not positive");
    std::optional<int64_t> start = starts[axis].constant(), size = sizes[axis].constant();
    if (start && *start < 0)
      return failed("(C3) start " + Twine(*start) + atAxis(axis) + " is negative");
    if (size && *size == 0)
      continue;
    Dim last = starts[axis] + (sizes[axis] - Dim(1)) * Dim(strides[axis]);
    std::optional<int64_t> room = (from[axis] - Dim(1) - last).constant();
    if (room && *room < 0)
      return failed("(C3) the last element read is " + last.str() + atAxis(axis) + ", the dimension is " +
                    from[axis].str());
  }
  return inferred(sizes, operand.getElementType());
}

Inferred inferPad(RankedTensorType operand, ArrayRef<Dim> low, ArrayRef<Dim> high, ArrayRef<int64_t> interior) {
  size_t rank = operand.getRank();
  if (low.size() != rank || high.size() != rank || interior.size() != rank)
    return failed("(C1) expected " + Twine(rank) + " entries in low, high and interior, found " + Twine(low.size()) +
                  ", " + Twine(high.size()) + " and " + Twine(interior.size()));
  SmallVector<Dim> dims = dimsOf(operand);
  for (size_t axis = 0; axis < rank; ++axis) {
    for (const Dim &amount : {low[axis], high[axis], Dim(interior[axis])})
      if (std::optional<int64_t> value = amount.constant(); value && *value < 0)
        return failed("(C1) padding " + Twine(*value) + atAxis(axis) + " is negative");
    Dim gaps = dims[axis] - Dim(1);
    if (!isNonNegative(gaps))
      gaps = max(gaps, Dim(0));
    dims[axis] = low[axis] + high[axis] + dims[axis] + gaps * Dim(interior[axis]);
  }
  return inferred(dims, operand.getElementType());
}

Inferred inferConcat(ArrayRef<RankedTensorType> inputs, int64_t axis) {
  if (inputs.empty())
    return failed("(C1) expected at least one operand");
  RankedTensorType first = inputs.front();
  for (RankedTensorType input : inputs)
    if (input.getElementType() != first.getElementType() || input.getRank() != first.getRank())
      return failed("(C1) operands must have one element type and rank, found " + describe(first) + " and " +
                    describe(input));
  if (std::string error = checkAxes({axis}, first.getRank(), false); !error.empty())
    return failed("(C2) " + error);
  SmallVector<Dim> dims = dimsOf(first);
  for (RankedTensorType input : inputs.drop_front()) {
    SmallVector<Dim> next = dimsOf(input);
    for (size_t d = 0; d < dims.size(); ++d) {
      if (static_cast<int64_t>(d) == axis)
        dims[d] = dims[d] + next[d];
      else if (dims[d] != next[d])
        return failed("(C2) dimensions" + atAxis(d) + " differ: " + describe(first) + " and " + describe(input));
    }
  }
  return inferred(dims, first.getElementType());
}

Inferred inferReduceWindow(ReduceKind kind, RankedTensorType operand, ArrayRef<int64_t> window,
                           ArrayRef<int64_t> strides, ArrayRef<int64_t> low, ArrayRef<int64_t> high) {
  size_t rank = operand.getRank();
  if (window.size() != rank || strides.size() != rank || low.size() != rank || high.size() != rank)
    return failed("(C1) expected " + Twine(rank) + " entries in window, strides, low and high, found " +
                  Twine(window.size()) + ", " + Twine(strides.size()) + ", " + Twine(low.size()) + " and " +
                  Twine(high.size()));
  if (kind != ReduceKind::sum && kind != ReduceKind::max && kind != ReduceKind::min)
    return failed("(C2) kind must be sum, max or min, found " + stringifyReduceKind(kind));
  SmallVector<Dim> dims = dimsOf(operand);
  for (size_t axis = 0; axis < rank; ++axis) {
    if (window[axis] < 1 || strides[axis] < 1)
      return failed("(C1) window " + Twine(window[axis]) + " and stride " + Twine(strides[axis]) + atAxis(axis) +
                    " must be positive");
    Dim slack = dims[axis] + Dim(low[axis] + high[axis] - window[axis]);
    bool isEmpty = window[axis] == 1 && dims[axis].constant() == 0; // as an axis of no rows that has no windows
    if (std::optional<int64_t> value = slack.constant(); value && *value < 0 && !isEmpty)
      return failed("(C3) the window " + Twine(window[axis]) + atAxis(axis) + " is larger than the padded dimension " +
                    (slack + Dim(window[axis])).str());
    dims[axis] = slack.floordiv(strides[axis]) + Dim(1);
  }
  return inferred(dims, operand.getElementType());
}

Inferred inferDotGeneral(RankedTensorType lhs, RankedTensorType rhs, ArrayRef<int64_t> lhsBatch,
                         ArrayRef<int64_t> rhsBatch, ArrayRef<int64_t> lhsContract, ArrayRef<int64_t> rhsContract,
                         mlir::Type element) {
  SmallVector<int64_t> lhsAxes(lhsBatch), rhsAxes(rhsBatch);
  llvm::append_range(lhsAxes, lhsContract);
  llvm::append_range(rhsAxes, rhsContract);
  if (std::string error = checkAxes(lhsAxes, lhs.getRank(), false); !error.empty())
    return failed("(C1) lhs: " + error);
  if (std::string error = checkAxes(rhsAxes, rhs.getRank(), false); !error.empty())
    return failed("(C1) rhs: " + error);
  if (lhsBatch.size() != rhsBatch.size() || lhsContract.size() != rhsContract.size())
    return failed("(C2) axes are paired, found batch " + list(lhsBatch) + " x " + list(rhsBatch) + " and contract " +
                  list(lhsContract) + " x " + list(rhsContract));
  SmallVector<Dim> left = dimsOf(lhs), right = dimsOf(rhs), dims;
  for (auto [l, r] : llvm::zip_equal(lhsAxes, rhsAxes))
    if (left[l] != right[r])
      return failed("(C2) lhs dimension " + left[l].str() + atAxis(l) + " and rhs dimension " + right[r].str() +
                    atAxis(r) + " must be equal, found " + describe(lhs) + " and " + describe(rhs));
  if (!element)
    element = lhs.getElementType();
  if (lhs.getElementType() != rhs.getElementType() || !mayAccumulate(lhs.getElementType(), element))
    return failed("(C3) element types do not go together: " + describe(lhs) + ", " + describe(rhs) + " -> " +
                  describe(element));
  for (int64_t axis : lhsBatch)
    dims.push_back(left[axis]);
  for (auto [axis, dim] : llvm::enumerate(left))
    if (!llvm::is_contained(lhsAxes, static_cast<int64_t>(axis)))
      dims.push_back(dim);
  for (auto [axis, dim] : llvm::enumerate(right))
    if (!llvm::is_contained(rhsAxes, static_cast<int64_t>(axis)))
      dims.push_back(dim);
  return inferred(dims, element);
}

Inferred inferConvolution(RankedTensorType input, RankedTensorType filter, ArrayRef<int64_t> strides,
                          ArrayRef<int64_t> low, ArrayRef<int64_t> high, ArrayRef<int64_t> inputDilation,
                          ArrayRef<int64_t> filterDilation, int64_t groups, mlir::Type element) {
  int64_t rank = input.getRank();
  if (filter.getRank() != rank || rank < 3 || rank > 5)
    return failed("(C1) ranks must be equal and from 3 to 5, found " + describe(input) + " and " + describe(filter));
  if (!element)
    element = input.getElementType();
  if (input.getElementType() != filter.getElementType() || !mayAccumulate(input.getElementType(), element))
    return failed("(C5) element types do not go together: " + describe(input) + ", " + describe(filter) + " -> " +
                  describe(element));
  SmallVector<Dim> in = dimsOf(input), kernel = dimsOf(filter);
  if (groups < 1 || !in[1].exactDiv(Dim(groups)) || !kernel[0].exactDiv(Dim(groups)))
    return failed("(C2) channels " + in[1].str() + " and filters " + kernel[0].str() + " must be multiples of groups " +
                  Twine(groups));
  if (kernel[1] * Dim(groups) != in[1])
    return failed("(C2) the filter's axis 1 must be channels / groups = " + in[1].exactDiv(Dim(groups))->str() +
                  ", found " + kernel[1].str());
  SmallVector<Dim> dims = {in[0], kernel[0]};
  for (ArrayRef<int64_t> entries : {strides, low, high, inputDilation, filterDilation})
    if (static_cast<int64_t>(entries.size()) != rank - 2)
      return failed("(C3) expected " + Twine(rank - 2) + " entries in each list, found " + list(entries));
  for (int64_t i = 0; i < rank - 2; ++i) {
    if (strides[i] < 1 || inputDilation[i] < 1 || filterDilation[i] < 1)
      return failed("(C3) strides and dilations must be positive, found stride " + Twine(strides[i]) +
                    " and dilations " + Twine(inputDilation[i]) + " and " + Twine(filterDilation[i]));
    Dim spread = (in[i + 2] - Dim(1)) * Dim(inputDilation[i]) + Dim(1 + low[i] + high[i]);
    Dim reach = (kernel[i + 2] - Dim(1)) * Dim(filterDilation[i]) + Dim(1);
    if (std::optional<int64_t> slack = (spread - reach).constant(); slack && *slack < 0)
      return failed("(C4) the filter's reach " + reach.str() + " is larger than the padded dimension " + spread.str() +
                    " at spatial axis " + Twine(i));
    dims.push_back((spread - reach).floordiv(strides[i]) + Dim(1));
  }
  return inferred(dims, element);
}

Inferred inferGather(RankedTensorType operand, RankedTensorType indices, int64_t axis, int64_t batchDims) {
  if (batchDims < 0 || batchDims > axis || axis >= operand.getRank() || batchDims > indices.getRank())
    return failed("(C1) expected 0 <= batch_dims <= axis < operand rank and "
                  "batch_dims <= indices rank, found batch_dims " +
                  Twine(batchDims) + ", axis " + Twine(axis) + ", " + describe(operand) + " and " + describe(indices));
  SmallVector<Dim> from = dimsOf(operand), at = dimsOf(indices);
  for (int64_t d = 0; d < batchDims; ++d)
    if (from[d] != at[d])
      return failed("(C2) batch dimensions" + atAxis(d) + " differ: " + describe(operand) + " and " +
                    describe(indices));
  if (!indices.getElementType().isIntOrIndex() || indices.getElementType().isInteger(1))
    return failed("(C3) indices must be of an integer type, found " + describe(indices));
  SmallVector<Dim> dims(from.begin(), from.begin() + axis);
  dims.append(at.begin() + batchDims, at.end());
  dims.append(from.begin() + axis + 1, from.end());
  return inferred(dims, operand.getElementType());
}

/// Two blocks share their bytes where they are halves.
static Inferred rowsOfBlocks(RankedTensorType blocks, RankedTensorType scales, bool halves) {
  SmallVector<Dim> dims = dimsOf(blocks);
  Dim size = dims.pop_back_val();
  if (halves)
    dims.back() = dims.back() * Dim(2);
  if (dims != dimsOf(scales) || !(scales.getElementType().isF16() || scales.getElementType().isF32()))
    return failed("(C2) expected a scale of f16 or f32 for each block, found " + describe(scales) + " for " +
                  describe(blocks));
  dims.back() = dims.back() * size;
  return inferred(dims, mlir::Float32Type::get(blocks.getContext()));
}

Inferred inferDequantize(RankedTensorType blocks, RankedTensorType scales, RankedTensorType minimums) {
  bool halves = blocks.getElementType().isUnsignedInteger(8);
  if (blocks.getRank() < 2 || !(halves || blocks.getElementType().isSignlessInteger(8)))
    return failed("(C1) expected blocks of i8 or ui8 with two axes and more, found " + describe(blocks));
  if (minimums && minimums != scales)
    return failed("(C3) expected minimums of the scales' type, found " + describe(minimums) + " beside " +
                  describe(scales));
  return rowsOfBlocks(blocks, scales, halves);
}

Inferred inferDecode(llvm::StringRef coding, RankedTensorType codes, RankedTensorType scales) {
  Coding its = codingCalled(coding);
  if (its == Coding::None)
    return failed("(C1) the coding \"" + coding + "\" is not known");
  if (codes.getRank() < 2 || !codes.getElementType().isUnsignedInteger(8))
    return failed("(C2) expected codes of ui8 with two axes and more, found " + describe(codes));
  return rowsOfBlocks(codes, scales, bitsOf(its) == 4);
}

Inferred inferTopK(RankedTensorType operand, int64_t k) {
  if (operand.getRank() < 1)
    return failed("(C1) the operand must have an axis");
  SmallVector<Dim> dims = dimsOf(operand);
  if (std::optional<int64_t> size = dims.back().constant(); k < 0 || (size && k > *size))
    return failed("(C1) k must be from 0 to the last dimension " + dims.back().str() + ", found " + Twine(k));
  dims.back() = Dim(k);
  return inferred(dims, operand.getElementType());
}

Inferred inferCrossEntropy(RankedTensorType logits, RankedTensorType targets) {
  if (logits.getRank() < 1 || !isFloat(logits.getElementType()))
    return failed("(C2) logits must be floats with at least one axis, found " + describe(logits));
  if (!targets.getElementType().isIntOrIndex() || targets.getElementType().isInteger(1))
    return failed("(C1) targets must be of an integer type, found " + describe(targets));
  SmallVector<Dim> rows = dimsOf(logits);
  rows.pop_back();
  if (SmallVector<Dim> found = dimsOf(targets); rows != found)
    return failed("(C1) targets must have logits' shape without the last axis, found " + describe(logits) + " and " +
                  describe(targets));
  return inferred(rows, logits.getElementType());
}

Inferred inferAttention(RankedTensorType query, RankedTensorType key, RankedTensorType value,
                        const AttentionOptions &options) {
  for (RankedTensorType type : {query, key, value})
    if (type.getRank() != 4 || !isFloat(type.getElementType()) || type.getElementType() != query.getElementType())
      return failed("(C1) query, key and value must have rank 4 and one float "
                    "type, found " +
                    describe(query) + ", " + describe(key) + " and " + describe(value));
  SmallVector<Dim> q = dimsOf(query), k = dimsOf(key), v = dimsOf(value);
  if (options.groups < 1)
    return failed("(C5) groups must be at least 1, found " + std::to_string(options.groups));
  if (q[0] != k[0] || q[0] != v[0] || k[1] != v[1] || q[1] != k[1] * Dim(options.groups) || q[3] != k[3] ||
      k[2] != v[2])
    return failed("(C1) expected query [B, H, T, D], key [B, H, S, D] and value [B, H, S, E]" +
                  (options.groups == 1
                       ? std::string()
                       : ", with " + std::to_string(options.groups) + " heads of queries for each of keys and values") +
                  ", found " + describe(query) + ", " + describe(key) + " and " + describe(value));
  if (RankedTensorType start = options.start; start && (start.getRank() || !start.getElementType().isInteger(32)))
    return failed("(C3) start must be a scalar i32, found " + describe(start));
  if (options.start && !options.causal)
    return failed("(C3) start says where causal queries begin: without causal it has no meaning");
  if (options.slidingWindow && (static_cast<int64_t>(*options.slidingWindow) < 1 || !options.causal))
    return failed("(C4) a sliding window is of at least 1 key and needs causal, found " +
                  std::to_string(static_cast<int64_t>(*options.slidingWindow)));
  if (options.slidingWindow && *options.slidingWindow > widestWindow)
    return failed("(C4) a sliding window is of at most " + std::to_string(widestWindow) + " keys, found " +
                  std::to_string(*options.slidingWindow));
  SmallVector<Dim> scores = {q[0], q[1], q[2], k[2]};
  auto broadcasts = [&](RankedTensorType type) {
    SmallVector<Dim> dims = dimsOf(type);
    return dims.size() == 4 && llvm::all_of(llvm::zip(dims, scores), [](auto pair) {
             return std::get<0>(pair) == Dim(1) || std::get<0>(pair) == std::get<1>(pair);
           });
  };
  if (RankedTensorType mask = options.mask) {
    if (mask.getRank() != 4 || !mask.getElementType().isInteger(1))
      return failed("(C2) mask must be i1 of rank 4, found " + describe(mask));
    if (!broadcasts(mask))
      return failed("(C2) mask must broadcast to " + describe(tensorType(scores, mask.getElementType())) + ", found " +
                    describe(mask));
  }
  if (RankedTensorType bias = options.bias)
    if (bias.getElementType() != query.getElementType() || !broadcasts(bias))
      return failed("(C6) bias must broadcast to " + describe(tensorType(scores, query.getElementType())) + ", found " +
                    describe(bias));
  return inferred({q[0], q[1], q[2], v[3]}, query.getElementType());
}

} // namespace kiln
