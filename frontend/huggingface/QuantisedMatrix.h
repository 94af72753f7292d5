// A matrix whose numbers share scales, as a folder has it: widened, or in the blocks that a program reads.
#pragma once

#include "runtime/files/Safetensors.h"
#include "runtime/program/BlockForm.h"
#include "runtime/threads/ThreadPool.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace kiln::huggingface {

/// What the numbers of a group have in common.
struct Group {
  float scale = 0, minimum = 0;
  int zero = 0;
};

/// [rows, width]: numbers of up to 8 bits, each `(number - zero) * scale` of its group, or, lifted, `number * scale +
/// minimum`; of a coding what a number of its table stands for, times the scale; or elements of any other form, where
/// `widen` is there. What it reads is checked before.
struct QuantisedMatrix {
  std::string name; ///< of the parameter
  int64_t rows = 0, width = 0;
  int64_t group = 0; ///< so many neighbours of a row
  int bits = 8;      ///< numbers are from 0 to 2^bits - 1
  kiln_dtype scales = KILN_F16;
  bool lifted = false;
  Coding coding = Coding::None;
  std::vector<int32_t> order; ///< the group of each column, where these are no neighbours; else empty
  std::function<void(int64_t row, uint8_t *numbers)> numbers;
  std::function<void(int64_t row, Group *groups)> groups; ///< all of the row
  std::function<void(int64_t row, float *elements)> widen;
  std::vector<std::string> parts;  ///< the tensors that it is made of
  std::vector<int64_t> shape = {}; ///< of what is widened, where it is no matrix; else empty

  int64_t groupsOfRow() const { return group > 0 ? (width + group - 1) / group : 0; }
};

/// The form that holds every element to the bit; none where there is no such form. Throws Error: a scale that is not
/// finite.
std::optional<BlockForm> blocksOf(const QuantisedMatrix &matrix, bool columns, ThreadPool &threads);

/// The numbers, scales and, where there are some, minimums and order of this form, which `blocksOf` has given.
std::vector<Tensor> inBlocks(const QuantisedMatrix &matrix, const BlockForm &form, ThreadPool &threads);
/// Their names and types alone.
std::vector<TensorView> typesInBlocks(const QuantisedMatrix &matrix, const BlockForm &form);

/// Throws Error: a scale that is not finite.
void checkScales(const QuantisedMatrix &matrix, ThreadPool &threads);
/// The type of the matrix in f32; `columns`: of its transpose.
TensorView typeWidened(const QuantisedMatrix &matrix, bool columns);
/// Its elements, whose scales have been checked.
void widenTo(const QuantisedMatrix &matrix, bool columns, ThreadPool &threads, float *to);

} // namespace kiln::huggingface
