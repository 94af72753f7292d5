// How a matrix is stored in blocks of numbers that share a scale.
#pragma once

#include "backends/api/kiln_codes.h"
#include "runtime/support/Tensor.h"

#include <optional>
#include <string>
#include <vector>

namespace kiln {

/// A matrix [rows, width] in blocks of `size` neighbours of a row, as kiln.dequantize reads them: NAME holds its
/// numbers as i8 [rows, width / size, size], or as halves of u8 [rows, width / size / 2, size], of which two blocks
/// share theirs, the first one in the lower halves; beside it NAME.scales, and NAME.minimums where there are some, are
/// f16 (f32 where they are wide) [rows, width / size]. Of columns: the matrix is [width, rows], and the name is
/// NAME.column_scales. Of a coding (kiln.decode) the numbers are codes of u8, whole bytes or halves, and the scales'
/// names say which: NAME.nf4_scales, NAME.nf4_column_scales. Ordered: what stands at place i of each row is the
/// matrix's at NAME.order[i], i32 [width].
struct BlockForm {
  int64_t size = 0; ///< 0: there is no such form
  bool halves = false, wideScales = false, minimums = false, columns = false, ordered = false;
  Coding coding = Coding::None;

  static constexpr const char *minimumsEnd = ".minimums";
  static constexpr const char *orderEnd = ".order";
  static constexpr const char *importanceEnd = ".importance"; ///< of what rounds a matrix: no part of it
  std::string scalesEnd() const {
    std::string of = coding == Coding::None ? "" : std::string(codingName(coding)) + "_";
    return "." + of + (columns ? "column_scales" : "scales");
  }

  kiln_dtype numbersType() const { return halves || coding != Coding::None ? KILN_U8 : KILN_I8; }
  kiln_dtype scalesType() const { return wideScales ? KILN_F32 : KILN_F16; }
  std::vector<int64_t> numbersShape(int64_t rows, int64_t width) const {
    return {rows, width / size / (halves ? 2 : 1), size};
  }
  std::vector<int64_t> scalesShape(int64_t rows, int64_t width) const { return {rows, width / size}; }

  /// Whether rows of so many are whole blocks, with halves pairs of them.
  bool fits(int64_t width) const { return size > 0 && width > 0 && width % (halves ? 2 * size : size) == 0; }

  /// What is added to a number in half a byte: they hold -8 to 7, or 0 to 15 where there are minimums, and codes.
  int shift() const { return minimums || coding != Coding::None ? 0 : 8; }
  /// Puts number i of a row to its place; the row's bytes are 0 before.
  void pack(uint8_t *row, int64_t i, int64_t number) const {
    int64_t block = i / size, within = i % size;
    if (halves)
      row[block / 2 * size + within] |= static_cast<uint8_t>((number + shift()) << (block % 2 * 4));
    else
      row[i] = static_cast<uint8_t>(number);
  }
};

/// The form of the matrix whose numbers are called `name` among tensors: their types and names say it. `find` gives a
/// pointer to what has a tensor's dtype and shape, by its name; null where there is none.
template <typename Find> std::optional<BlockForm> blockFormOf(const std::string &name, Find find) {
  const auto *numbers = find(name);
  if (!numbers || (numbers->dtype != KILN_I8 && numbers->dtype != KILN_U8) || numbers->shape.size() != 3)
    return std::nullopt;
  BlockForm form;
  for (const char *coding : codingNames)
    for (bool columns : {false, true}) {
      form.columns = columns;
      form.coding = codingCalled(coding);
      const auto *scales = find(name + form.scalesEnd());
      if (!scales || (scales->dtype != KILN_F16 && scales->dtype != KILN_F32) || scales->shape.size() != 2)
        continue;
      form.size = numbers->shape[2];
      form.halves = form.coding == Coding::None ? numbers->dtype == KILN_U8 : bitsOf(form.coding) == 4;
      form.wideScales = scales->dtype == KILN_F32;
      form.minimums = find(name + BlockForm::minimumsEnd) != nullptr;
      form.ordered = find(name + BlockForm::orderEnd) != nullptr;
      if (form.numbersType() == numbers->dtype && !(form.minimums && form.coding != Coding::None))
        return form;
    }
  return std::nullopt;
}

} // namespace kiln
