// Rounding of what goes into a program.

#include "runtime/program/StoredWeights.h"

#include "runtime/program/BlockForm.h"
#include "runtime/program/WeightFiles.h"
#include "runtime/support/Error.h"
#include "runtime/threads/ThreadPool.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <span>

namespace kiln {

std::shared_ptr<WeightSet> openWeights(const std::string &path, std::string &why) {
  try {
    Safetensors file = Safetensors::open(path);
    std::map<std::string, std::string> metadata = file.metadata();
    return std::make_shared<WeightSet>(WeightSet{std::move(file), std::move(metadata)});
  } catch (const Error &error) {
    why = error.what();
    return nullptr;
  }
}

namespace {
/// What stored tensors need beside their names.
struct Made {
  Safetensors source; ///< whose bytes the tensors that stay are
  std::vector<std::unique_ptr<uint8_t[]>> rooms;
  std::optional<ThreadPool> threads; ///< from the first matrix of blocks on

  uint8_t *room(size_t bytes) { return rooms.emplace_back(std::make_unique<uint8_t[]>(bytes)).get(); }
  ThreadPool &pool() { return threads ? *threads : threads.emplace(std::min(16U, availableProcessors())); }
};

/// What a block's numbers are multiplied with, and what is added then.
struct Lift {
  double scale = 0, minimum = 0;
  bool isFinite() const { return std::isfinite(scale) && std::isfinite(minimum); }
};

double largestOf(std::span<const double> block) {
  double size = 0;
  for (double x : block)
    size = std::max(size, std::fabs(x));
  return size;
}

/// As it is stored; infinite where the type does not hold it.
double rounded(kiln_dtype dtype, double exact) {
  uint8_t bytes[8];
  storeNumber(dtype, bytes, 0, exact);
  return loadNumber(dtype, bytes, 0);
}

/// Of a scale 1 / `inverse`; whole, from `least` to `most`.
double nearest(double x, double inverse, double least, double most) {
  constexpr double whole = 6755399441055744; // 1.5 * 2^52: what is added to it has no fraction
  return std::min(std::max(x * inverse + whole - whole, least), most);
}

double inverseOf(double scale) { return scale != 0 ? 1 / scale : 0; }

/// Bytes from -127 to 127. The scale is rounded away from zero, so that no number is cut off.
Lift chooseBytes(std::span<const double> block, kiln_dtype dtype) {
  double exact = largestOf(block) / 127, stored = rounded(dtype, exact);
  if (dtype == KILN_F16 && stored < exact)
    stored = static_cast<double>(halfToFloat(static_cast<uint16_t>(floatToHalf(static_cast<float>(stored)) + 1)));
  return {stored, 0};
}

/// Halves of bytes that stand for -8 to 7: of the scales around the one by which the block's extreme is -8, each moved
/// to its least squares, the one by which the squared error is smallest.
Lift chooseHalves(std::span<const double> block, kiln_dtype dtype) {
  double extreme = 0, least = INFINITY;
  for (double x : block)
    extreme = std::fabs(x) > std::fabs(extreme) ? x : extreme;
  double best = rounded(dtype, extreme / -8);
  for (int step = -6; step <= 6 && extreme != 0 && std::isfinite(best); ++step) {
    double inverse = -(8 + 0.15 * step) / extreme, xq = 0, qq = 0, error = 0;
    for (double x : block) {
      double q = nearest(x, inverse, -8, 7);
      xq += x * q, qq += q * q;
    }
    double scale = rounded(dtype, xq / qq);
    inverse = inverseOf(scale);
    for (double x : block) {
      double off = x - scale * nearest(x, inverse, -8, 7);
      error += off * off;
    }
    if (error < least && std::isfinite(scale))
      least = error, best = scale;
  }
  return {best, 0};
}

/// Halves of bytes from 0 to 15, and a minimum: of some steps around the one that reaches from the least element to the
/// largest, each moved twice to the least squares of the numbers that it gives, the one by which the squared error is
/// smallest, each element's by its weight.
Lift chooseLifted(std::span<const double> block, std::span<const double> weights, kiln_dtype dtype) {
  auto [low, high] = std::minmax_element(block.begin(), block.end());
  double range = *high - *low, count = 0, x1 = 0, least = INFINITY;
  for (size_t i = 0; i < block.size(); ++i)
    count += weights[i], x1 += weights[i] * block[i];
  Lift best{rounded(dtype, range / 15), rounded(dtype, *low)};
  for (int step = -6; step <= 6 && range > 0 && best.isFinite(); ++step) {
    double inverse = (15 + 0.25 * step) / range, minimum = *low;
    for (int moved = 0; moved < 2; ++moved) {
      double q1 = 0, q2 = 0, xq = 0, error = 0;
      for (size_t i = 0; i < block.size(); ++i) {
        double q = nearest(block[i] - minimum, inverse, 0, 15), weighted = weights[i] * q;
        q1 += weighted, q2 += weighted * q, xq += weighted * block[i];
      }
      double determinant = count * q2 - q1 * q1;
      Lift lift{rounded(dtype, (count * xq - x1 * q1) / determinant),
                rounded(dtype, (q2 * x1 - q1 * xq) / determinant)};
      inverse = inverseOf(lift.scale), minimum = lift.minimum;
      for (size_t i = 0; i < block.size(); ++i) {
        double x = block[i] - minimum, off = x - lift.scale * nearest(x, inverse, 0, 15);
        error += weights[i] * off * off;
      }
      if (!(error < least) || !lift.isFinite())
        break; // of numbers that are all the same, too, the least squares are none
      least = error, best = lift;
    }
  }
  return best;
}

Lift choose(std::span<const double> block, std::span<const double> weights, const BlockForm &form) {
  if (form.halves && form.minimums)
    return chooseLifted(block, weights, form.scalesType());
  return (form.halves ? chooseHalves : chooseBytes)(block, form.scalesType());
}

/// A matrix becomes blocks.
class Blocking {
public:
  Blocking(const TensorView &matrix, const BlockForm &form)
      : matrix_(matrix), form_(form), rows_(matrix.shape[form.columns ? 1 : 0]),
        width_(matrix.shape[form.columns ? 0 : 1]), weights_(static_cast<size_t>(width_), 1.0) {}

  /// Whether the numbers are chosen by it. Throws Error where it is another matrix's.
  bool weighBy(const Importance &importance) {
    auto found = importance.find(matrix_.name);
    if (found == importance.end() || !hasMinimums())
      return false;
    if (found->second.size() != weights_.size())
      fail("--importance: '%s%s': expected f32[%zu], found f32[%zu]: it was observed of another model",
           matrix_.name.c_str(), BlockForm::importanceEnd, weights_.size(), found->second.size());
    double mean = 0;
    for (double each : found->second)
      mean += each / static_cast<double>(weights_.size());
    // What was zero in what was observed need not be so ever after.
    for (size_t i = 0; i < weights_.size() && mean > 0; ++i)
      weights_[i] = found->second[i] / mean + 1e-3;
    return mean > 0;
  }

  bool hasMinimums() const { return form_.minimums; }
  std::string scalesName() const { return matrix_.name + form_.scalesEnd(); }
  std::string minimumsName() const { return matrix_.name + BlockForm::minimumsEnd; }
  StoredType numbers() const { return {form_.numbersType(), form_.numbersShape(rows_, width_)}; }
  StoredType scales() const { return {form_.scalesType(), form_.scalesShape(rows_, width_)}; }

  /// Into zeroed memory, rows on all threads. Not empty: why there are none.
  std::string run(uint8_t *numbers, uint8_t *scales, uint8_t *minimums, ThreadPool &threads) {
    std::vector<Row> rows(static_cast<size_t>(rows_));
    threads.forRange(rows_, [&](int64_t begin, int64_t end) {
      bool goesOn = true;
      for (int64_t row = begin; row < end && goesOn; ++row) {
        Row &result = rows[static_cast<size_t>(row)];
        result = blockRow(row, numbers, scales, minimums);
        goesOn = result.why.empty();
      }
    });
    double off = 0, all = 0;
    for (const Row &row : rows) {
      if (!row.why.empty())
        return row.why;
      off += row.off, all += row.all;
    }
    error_ = all > 0 ? std::sqrt(off / all) : 0;
    return {};
  }
  double error() const { return error_; }

private:
  struct Row {
    double off = 0, all = 0; ///< sums of squares: of what rounding changed, and of the elements
    std::string why;         ///< there are no blocks of it
  };

  Row blockRow(int64_t row, uint8_t *numbers, uint8_t *scales, uint8_t *minimums) const {
    Row result;
    std::vector<double> block(static_cast<size_t>(form_.size));
    uint8_t *to = numbers + row * (width_ / (form_.halves ? 2 : 1));
    for (int64_t first = 0; first < width_; first += form_.size) {
      for (int64_t i = 0; i < form_.size; ++i) {
        double &x = block[static_cast<size_t>(i)];
        int64_t at = form_.columns ? (first + i) * rows_ + row : row * width_ + first + i;
        x = loadNumber(matrix_.dtype, matrix_.data, at);
        if (!std::isfinite(x)) {
          result.why = format("element %lld is not finite", static_cast<long long>(at));
          return result;
        }
        result.all += x * x;
      }
      Lift lift = choose(block, std::span(weights_).subspan(static_cast<size_t>(first), block.size()), form_);
      if (!lift.isFinite()) {
        result.why = format("elements of %g are beyond what a block's scale holds", largestOf(block));
        return result;
      }
      storeNumber(form_.scalesType(), scales, (row * width_ + first) / form_.size, lift.scale);
      if (minimums)
        storeNumber(form_.scalesType(), minimums, (row * width_ + first) / form_.size, lift.minimum);
      double inverse = inverseOf(lift.scale), least = !form_.halves ? -127 : form_.minimums ? 0 : -8;
      for (int64_t i = 0; i < form_.size; ++i) {
        double x = block[static_cast<size_t>(i)] - lift.minimum;
        double q = nearest(x, inverse, least, form_.halves ? least + 15 : 127);
        form_.pack(to, first + i, static_cast<int64_t>(q));
        double difference = x - q * lift.scale;
        result.off += difference * difference;
      }
    }
    return result;
  }

  const TensorView &matrix_;
  BlockForm form_;
  int64_t rows_, width_;
  std::vector<double> weights_; ///< of the squared errors along a row
  double error_ = 0;
};

const StoredType *typeOf(const StoredTypes &types, const std::string &name) {
  auto found = types.find(name);
  return found == types.end() ? nullptr : &found->second;
}

/// How the tensor is put into blocks, where it is a matrix that the program has so. Bytes are given no minimums, and
/// codes are chosen by whoever wrote them.
std::optional<Blocking> blockingOf(const StoredTypes &types, const TensorView &tensor) {
  std::optional<BlockForm> form =
      blockFormOf(tensor.name, [&](const std::string &name) { return typeOf(types, name); });
  if (!form || form->ordered || form->coding != Coding::None || (form->minimums && !form->halves) ||
      !isFloat(tensor.dtype) || tensor.shape.size() != 2)
    return std::nullopt;
  int64_t rows = tensor.shape[form->columns ? 1 : 0], width = tensor.shape[form->columns ? 0 : 1];
  if (!form->fits(width) || typeOf(types, tensor.name)->shape != form->numbersShape(rows, width) ||
      typeOf(types, tensor.name + form->scalesEnd())->shape != form->scalesShape(rows, width))
    return std::nullopt;
  return Blocking(tensor, *form);
}

bool isNarrower(const StoredType &type, const TensorView &tensor) {
  return type.shape == tensor.shape && isFloat(type.dtype) && isFloat(tensor.dtype) &&
         dtypeSize(type.dtype) < dtypeSize(tensor.dtype);
}

/// The tensors as they are stored. A null `made`: their bytes are not wanted.
std::vector<TensorView> stored(const StoredTypes &types, const Safetensors &weights, Made *made,
                               std::vector<StoredError> *errors, const Importance &importance) {
  std::vector<TensorView> tensors;
  for (const TensorView &tensor : weights.tensors()) {
    auto add = [&](const std::string &name, const StoredType &as) {
      size_t bytes = static_cast<size_t>(countElements(as.shape).value_or(0)) * dtypeSize(as.dtype);
      uint8_t *data = made ? made->room(bytes) : nullptr;
      tensors.push_back({name, as.dtype, as.shape, made ? data : tensor.data, bytes});
      return data;
    };
    const StoredType *type = typeOf(types, tensor.name);
    bool narrower = type && isNarrower(*type, tensor);
    std::optional<MadeBytes> bytes;
    if (made && (narrower || blockingOf(types, tensor)))
      bytes.emplace(tensor);
    const TensorView &from = bytes ? bytes->view : tensor;
    std::string why;
    if (auto blocking = blockingOf(types, from)) {
      uint8_t *numbers = add(tensor.name, blocking->numbers()),
              *scales = add(blocking->scalesName(), blocking->scales()),
              *minimums = blocking->hasMinimums() ? add(blocking->minimumsName(), blocking->scales()) : nullptr;
      bool weighed = blocking->weighBy(importance);
      if (made)
        why = blocking->run(numbers, scales, minimums, made->pool());
      if (errors)
        errors->push_back({tensor.name, blocking->error(), weighed});
    } else if (narrower) {
      uint8_t *data = add(tensor.name, *type);
      if (made)
        convertElements(from.dtype, from.data, type->dtype, data, countElements(tensor.shape).value_or(0), why);
    } else {
      tensors.push_back(tensor);
    }
    if (!why.empty())
      fail("%s: %s", tensor.name.c_str(), why.c_str());
  }
  return tensors;
}

} // namespace

StoredTypes storedTypes(const std::vector<TensorRequest> &requests) {
  StoredTypes types;
  for (const TensorRequest &request : requests)
    types[request.name] = {request.dtype, request.shape};
  return types;
}

bool makesBlocks(const StoredTypes &types, const Safetensors &weights) {
  return std::any_of(weights.tensors().begin(), weights.tensors().end(),
                     [&](const TensorView &tensor) { return blockingOf(types, tensor).has_value(); });
}

Safetensors typesAs(const StoredTypes &types, const Safetensors &weights) {
  return Safetensors::of(stored(types, weights, nullptr, nullptr, {}), weights.what(), nullptr);
}

Safetensors storeAs(const StoredTypes &types, Safetensors weights, std::vector<StoredError> *errors,
                    const Importance &importance) {
  auto made = std::make_shared<Made>();
  made->source = std::move(weights);
  std::vector<TensorView> tensors = stored(types, made->source, made.get(), errors, importance);
  made->threads.reset(); // the bytes live on, for as long as the weights do
  return Safetensors::of(std::move(tensors), made->source.what(), made);
}

std::string storedMisfit(const Manifest &manifest, WeightSet &weights) {
  std::vector<TensorRequest> requests = requestsOf(manifest);
  weights.tensors = withoutSpare(std::move(weights.tensors), requests);
  WeightSet stored{typesAs(storedTypes(requests), weights.tensors), {}};
  return weightsMisfit(manifest, stored);
}

Importance readImportance(const std::string &path) {
  Importance importance;
  Safetensors file = Safetensors::open(path);
  const std::string end = BlockForm::importanceEnd;
  for (const TensorView &tensor : file.tensors()) {
    if (!tensor.name.ends_with(end) || tensor.dtype != KILN_F32 || tensor.shape.size() != 1)
      continue;
    std::vector<double> &numbers = importance[tensor.name.substr(0, tensor.name.size() - end.size())];
    for (int64_t i = 0; i < tensor.shape[0]; ++i) {
      numbers.push_back(loadNumber(KILN_F32, tensor.data, i));
      if (!std::isfinite(numbers.back()) || numbers.back() < 0)
        fail("--importance %s: '%s': element %lld is %g: a sum of squares is expected", path.c_str(),
             tensor.name.c_str(), static_cast<long long>(i), numbers.back());
    }
  }
  if (importance.empty())
    fail("--importance %s: holds no 'NAME%s' of f32, as a program built with --observe writes it with run --output",
         path.c_str(), end.c_str());
  return importance;
}

std::string storeSet(const Manifest &manifest, WeightSet &weights, const std::string &importance,
                     std::vector<StoredError> &errors) {
  try {
    weights.tensors = storeAs(storedTypes(requestsOf(manifest)), std::move(weights.tensors), &errors,
                              importance.empty() ? Importance() : readImportance(importance));
    bool any = std::any_of(errors.begin(), errors.end(), [](const StoredError &each) { return each.byImportance; });
    return importance.empty() || any ? "" : "--importance " + importance + ": none of its matrices is stored as q4";
  } catch (const Error &error) {
    return error.what();
  }
}

} // namespace kiln
