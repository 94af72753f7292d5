// Which of the blocks that kernels read hold a matrix as it is, and how it is put into them.
//
// A scale of 11 binary digits at most (f16, bf16) times a number of nine has no rounding in f32, nor has such a product
// of scale and zero; their difference is a multiple of the scale by nine digits again. So `number * scale + minimum`,
// with minimum = -zero * scale in f32, is `(number - zero) * scale` to the bit. Scales in f32 leave no room for that:
// their numbers are kept without the zero, where a byte holds them so.
#include "frontend/huggingface/QuantisedMatrix.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <atomic>
#include <cmath>

namespace kiln::huggingface {

namespace {

/// What is known of all of a matrix's groups.
struct Range {
  bool finite = true;
  int least = INT32_MAX, most = INT32_MIN; ///< zeros
  bool halfScales = true;                  ///< f16 holds every scale
  bool halfMinimums = true;                ///< and every minimum: the groups' own, or -zero * scale
  bool shifts = true;                      ///< f32 holds every minimum + 128 * scale
  int64_t badRow = -1;                     ///< where a scale is not finite

  void add(const Range &other) {
    finite &= other.finite, halfScales &= other.halfScales, halfMinimums &= other.halfMinimums, shifts &= other.shifts;
    least = std::min(least, other.least), most = std::max(most, other.most);
    badRow = std::max(badRow, other.badRow);
  }
};

bool inHalf(float value) { return halfToFloat(floatToHalf(value)) == value; }

float minimumOf(const QuantisedMatrix &matrix, const Group &group) {
  return matrix.lifted ? group.minimum : static_cast<float>(-group.zero) * group.scale;
}

Range rangeOf(const QuantisedMatrix &matrix, ThreadPool &threads) {
  std::vector<Range> rows(static_cast<size_t>(matrix.rows));
  threads.forRange(matrix.rows, [&](int64_t begin, int64_t end) {
    std::vector<Group> groups(static_cast<size_t>(matrix.groupsOfRow()));
    for (int64_t row = begin; row < end; ++row) {
      matrix.groups(row, groups.data());
      Range &range = rows[static_cast<size_t>(row)];
      for (const Group &group : groups) {
        float minimum = minimumOf(matrix, group);
        double shifted = static_cast<double>(minimum) + 128.0 * static_cast<double>(group.scale);
        if (!std::isfinite(group.scale) || !std::isfinite(minimum))
          range.finite = false, range.badRow = row;
        range.least = std::min(range.least, group.zero), range.most = std::max(range.most, group.zero);
        range.halfScales &= inHalf(group.scale);
        range.halfMinimums &= inHalf(minimum);
        range.shifts &= static_cast<double>(static_cast<float>(shifted)) == shifted;
      }
    }
  });
  Range all;
  for (const Range &range : rows)
    all.add(range);
  if (!all.finite)
    fail("'%s': a scale of row %lld is not finite; the file is damaged", matrix.name.c_str(),
         static_cast<long long>(all.badRow));
  return all;
}

/// Blocks of so many neighbours that each lies in one group; 0: there are none. Rows are whole blocks of 32, which is
/// what a program's matrices are stored by.
int64_t sizeOf(const QuantisedMatrix &matrix, bool halves) {
  if (matrix.width % 32)
    return 0;
  for (int64_t size : {128, 64, 32, 16})
    if (matrix.group % size == 0 && matrix.width % (halves ? 2 * size : size) == 0)
      return size;
  return 0;
}

/// The columns group by group, in which order rows of blocks have them; none where groups are not of one size.
std::vector<int32_t> placesOf(const QuantisedMatrix &matrix) {
  std::vector<std::vector<int32_t>> groups(static_cast<size_t>(matrix.groupsOfRow()));
  for (size_t i = 0; i < matrix.order.size(); ++i)
    groups[static_cast<size_t>(matrix.order[i])].push_back(static_cast<int32_t>(i));
  std::vector<int32_t> places;
  for (const std::vector<int32_t> &group : groups) {
    if (static_cast<int64_t>(group.size()) != matrix.group)
      return {};
    places.insert(places.end(), group.begin(), group.end());
  }
  return places;
}

/// What the form adds to a number of the matrix, so that it lies where the form has it: without minimums numbers count
/// from zero, with them from 0, or in bytes from -128 where they are above 127.
int shiftOf(const QuantisedMatrix &matrix, const BlockForm &form, const Group &group) {
  if (!form.minimums)
    return -group.zero;
  return !form.halves && matrix.bits > 7 ? -128 : 0;
}

} // namespace

std::optional<BlockForm> blocksOf(const QuantisedMatrix &matrix, bool columns, ThreadPool &threads) {
  if (matrix.widen)
    return std::nullopt;
  Range range = rangeOf(matrix, threads);
  if (matrix.coding != Coding::None) {
    BlockForm form;
    form.columns = columns;
    form.coding = matrix.coding;
    form.halves = bitsOf(matrix.coding) == 4;
    form.wideScales = !range.halfScales;
    form.size = sizeOf(matrix, form.halves);
    return form.size ? std::optional(form) : std::nullopt;
  }
  if (!matrix.order.empty() && placesOf(matrix).empty())
    return std::nullopt;
  int most = (1 << matrix.bits) - 1;
  bool plain = !matrix.lifted, exact = plain && matrix.scales != KILN_F32; // minimums may stand for zeros
  bool halved = matrix.bits <= 4 && sizeOf(matrix, true);
  bool fromZero = plain && range.least >= most - 127 && range.most <= 128;
  BlockForm form;
  form.columns = columns;
  form.ordered = !matrix.order.empty();
  if (halved && plain && range.most <= 8 && range.least >= most - 7)
    form.halves = true;
  else if (halved && (matrix.lifted || exact))
    form.halves = form.minimums = true;
  else if (!fromZero && (exact || (matrix.lifted && (matrix.bits < 8 || (range.shifts && matrix.scales != KILN_F32)))))
    form.minimums = true;
  else if (!fromZero)
    return std::nullopt;
  form.size = sizeOf(matrix, form.halves);
  bool shifted = form.minimums && !form.halves && matrix.bits > 7; // its minimums are others
  form.wideScales = !range.halfScales || (form.minimums && (!range.halfMinimums || shifted));
  return form.size ? std::optional(form) : std::nullopt;
}

std::vector<TensorView> typesInBlocks(const QuantisedMatrix &matrix, const BlockForm &form) {
  int64_t rows = matrix.rows, width = matrix.width;
  std::vector<TensorView> types;
  auto add = [&](const std::string &end, kiln_dtype dtype, std::vector<int64_t> shape) {
    size_t bytes = static_cast<size_t>(countElements(shape).value_or(0)) * dtypeSize(dtype);
    types.push_back({matrix.name + end, dtype, std::move(shape), nullptr, bytes});
  };
  add("", form.numbersType(), form.numbersShape(rows, width));
  add(form.scalesEnd(), form.scalesType(), form.scalesShape(rows, width));
  if (form.minimums)
    add(BlockForm::minimumsEnd, form.scalesType(), form.scalesShape(rows, width));
  if (form.ordered)
    add(BlockForm::orderEnd, KILN_I32, {width});
  return types;
}

std::vector<Tensor> inBlocks(const QuantisedMatrix &matrix, const BlockForm &form, ThreadPool &threads) {
  int64_t rows = matrix.rows, width = matrix.width, perRow = width / form.size;
  std::vector<Tensor> made;
  for (const TensorView &type : typesInBlocks(matrix, form))
    made.emplace_back(type.name, type.dtype, type.shape);
  std::vector<int32_t> places = placesOf(matrix);
  if (form.ordered)
    std::copy(places.begin(), places.end(), made.back().as<int32_t>());
  threads.forRange(rows, [&](int64_t begin, int64_t end) {
    std::vector<uint8_t> numbers(static_cast<size_t>(width));
    std::vector<Group> groups(static_cast<size_t>(matrix.groupsOfRow()));
    for (int64_t row = begin; row < end; ++row) {
      matrix.numbers(row, numbers.data());
      matrix.groups(row, groups.data());
      uint8_t *to = made[0].as<uint8_t>() + row * width / (form.halves ? 2 : 1);
      for (int64_t block = 0; block < perRow; ++block) {
        const Group &group = groups[static_cast<size_t>(block * form.size / matrix.group)];
        int shift = shiftOf(matrix, form, group);
        for (int64_t i = block * form.size; i < (block + 1) * form.size; ++i)
          form.pack(to, i, numbers[static_cast<size_t>(form.ordered ? places[static_cast<size_t>(i)] : i)] + shift);
        auto store = [&](Tensor &tensor, double value) {
          storeNumber(form.scalesType(), tensor.as<void>(), row * perRow + block, value);
        };
        store(made[1], static_cast<double>(group.scale));
        if (form.minimums)
          store(made[2], static_cast<double>(minimumOf(matrix, group)) - shift * static_cast<double>(group.scale));
      }
    }
  });
  return made;
}

void checkScales(const QuantisedMatrix &matrix, ThreadPool &threads) {
  if (!matrix.widen)
    rangeOf(matrix, threads);
}

TensorView typeWidened(const QuantisedMatrix &matrix, bool columns) {
  std::vector<int64_t> shape = !matrix.shape.empty() ? matrix.shape
                               : columns             ? std::vector<int64_t>{matrix.width, matrix.rows}
                                                     : std::vector<int64_t>{matrix.rows, matrix.width};
  return {matrix.name, KILN_F32, shape, nullptr, static_cast<size_t>(matrix.rows * matrix.width) * sizeof(float)};
}

namespace {

/// `stands`: what codes stand for.
float elementOf(const QuantisedMatrix &matrix, uint8_t number, const Group &group, const std::vector<float> &stands) {
  if (matrix.coding != Coding::None)
    return stands[number] * group.scale;
  int from = matrix.lifted ? number : number - group.zero;
  float product = static_cast<float>(from) * group.scale;
  return matrix.lifted ? product + group.minimum : product;
}

} // namespace

void widenTo(const QuantisedMatrix &matrix, bool columns, ThreadPool &threads, float *to) {
  int64_t rows = matrix.rows, width = matrix.width;
  std::vector<float> stands;
  for (int code = 0; code < (matrix.coding == Coding::None ? 0 : 256); ++code)
    stands.push_back(codedNumber(matrix.coding, static_cast<uint8_t>(code)));
  threads.forRange(rows, [&](int64_t begin, int64_t end) {
    std::vector<uint8_t> numbers(static_cast<size_t>(matrix.widen ? 0 : width));
    std::vector<Group> groups(static_cast<size_t>(matrix.groupsOfRow()));
    std::vector<float> elements(static_cast<size_t>(width));
    for (int64_t row = begin; row < end; ++row) {
      if (matrix.widen) {
        matrix.widen(row, elements.data());
      } else {
        matrix.numbers(row, numbers.data());
        matrix.groups(row, groups.data());
        for (int64_t i = 0; i < width; ++i) {
          auto at = static_cast<size_t>(i);
          const Group &group = groups[matrix.order.empty() ? static_cast<size_t>(i / matrix.group)
                                                           : static_cast<size_t>(matrix.order[at])];
          elements[at] = elementOf(matrix, numbers[at], group, stands);
        }
      }
      for (int64_t i = 0; i < width; ++i)
        to[columns ? i * rows + row : row * width + i] = elements[static_cast<size_t>(i)];
    }
  });
}

} // namespace kiln::huggingface
