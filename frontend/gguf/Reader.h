// A GGUF file (versions 2 and 3): metadata by key, and tensors, some of them in blocks of quantised numbers.
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include "frontend/gguf/Blocks.h"
#include "runtime/files/File.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::gguf {

/// A value's type as the file numbers them.
enum class Type : uint32_t { U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64 };

/// A value of the metadata. Of an array the elements stand in the file's own form.
struct Value {
  Type type = Type::U8;
  std::string_view bytes; ///< a number's bytes, a string's text, an array's elements
  Type element = Type::U8;
  uint64_t count = 0; ///< of an array
};

struct TensorInfo {
  std::string name;
  std::vector<int64_t> shape; ///< row-major, as everybody but GGUF writes it
  const BlockType *type = nullptr;
  const uint8_t *data = nullptr;
  size_t bytes = 0;
};

/// A tensor's numbers, as many as its shape has.
void widen(const TensorInfo &tensor, float *out);

class File {
public:
  /// All of it is checked before a tensor is looked at: every length against what is left of the file, types,
  /// alignment, that tensors lie inside and apart. Nothing is allocated by a number of the file alone. Throws Error.
  static File open(const std::string &path);
  /// `bytes` outlive the result.
  static File parse(std::string_view bytes, const std::string &what);

  const std::string &what() const { return what_; }
  const std::vector<TensorInfo> &tensors() const { return tensors_; }
  const TensorInfo *find(std::string_view name) const;

  const Value *value(std::string_view key) const;
  // Each throws Error, which names the key, where the value is of another kind; nothing where there is none.
  std::optional<std::string> text(std::string_view key) const;
  std::optional<int64_t> whole(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> flag(std::string_view key) const;
  std::vector<std::string_view> texts(std::string_view key) const;
  std::vector<double> numbers(std::string_view key) const;

private:
  friend class Parser;
  std::string what_;
  std::optional<MappedFile> file_;
  std::map<std::string, Value, std::less<>> metadata_;
  std::vector<TensorInfo> tensors_;
};

} // namespace kiln::gguf
