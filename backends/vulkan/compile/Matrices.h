// Cooperative matrices as the forms print them.
#pragma once

#include "backends/vulkan/compile/Shader.h"

namespace kiln::vulkan {

inline std::string str(int64_t number) { return std::to_string(number); }

/// What the factors of a product are in matrices.
enum class Factor { F16, BF16, I8 };

/// A workgroup of four subgroups that multiplies matrices of the device's own shape, M x K by K x N. A factor's matrix
/// is read from workgroup memory, the sums are the subgroup's, in f32 or i32.
///
/// In a plain shader (Settings::plainMatrices) the same statements are loops over arrays, for any device: each
/// invocation of eight holds all of a factor and an eighth of the sums. That is for tests, which so go through all of a
/// shader but for the instructions themselves.
class Matrices {
public:
  /// Declares `thread`, `threads` (of the workgroup), `mine` (the subgroup's number), `lane` and `lanes` (of it).
  Matrices(Shader &shader, sdk::Emitter &emitter, Factor factor, bool plain);

  static constexpr int subgroups = 4;
  static constexpr int mostSums = 256; // M * N; the run side chooses no larger shape
  static constexpr int leastSide = 8;  // nor one of smaller sides
  static constexpr int leastLanes = 4; // of a subgroup

  /// A factor's elements in workgroup memory, in rows of `stride`: `unit` of them to a value of the array.
  struct Memory {
    std::string name;
    int unit = 1, stride = 0;
  };
  /// rows of stride, with `unit` elements read and written at once: 1, or as many as 8 or 16 bytes have.
  Memory memory(int rows, int stride, int unit);
  /// Sums on their way to elements: `count` of them.
  std::string staged(int64_t count);

  enum Part { Left, Right, Sums };
  std::string type(Part part) const;
  /// A new matrix of sums, all 0.
  std::string zero() const;
  /// Print statements. An offset counts elements; a row of the matrix is one of memory, or a column is.
  void load(Part part, const std::string &matrix, const Memory &from, const std::string &offset, bool byColumns) const;
  void multiplyAdd(const std::string &sums, const std::string &left, const std::string &right) const;
  void store(const std::string &sums, const std::string &to, const std::string &offset,
             const std::string &stride) const;
  /// Each of the sums times the number at its place.
  void scale(const std::string &sums, const std::string &by, const std::string &offset,
             const std::string &stride) const;

  /// An element as memory with a unit of 1 has it.
  std::string stored(const std::string &element) const;
  /// Of a f32 the bits of a bf16 in `.x` and of what is left in `.y`, itself rounded to one: together 16 bits of it.
  /// What is no number, or infinite, gives NaN.
  std::string split(const std::string &element);

  std::string M, N, K, lanes; // constants of the shader: the shape, and the invocations of a subgroup
  const Factor factor;
  const bool plain;

private:
  std::string element(const Memory &memory, const std::string &at) const;
  void eachSum(const std::string &statement) const;
  const char *number() const { return factor == Factor::I8 ? "int" : "float"; }

  Shader &shader;
  sdk::Emitter &emitter;
  bool splits = false;
};

} // namespace kiln::vulkan
