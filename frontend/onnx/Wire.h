// The wire format of protocol buffers, read field by field without copying.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::onnx {

/// The fields of one message, in the file's order. Every length is checked against what is left before it is followed.
/// Throws Error: cut, a wire type that does not belong to the field, a group (which ONNX has none of).
class Wire {
public:
  /// `what` names the message in errors: "the graph". `depth`: how many messages stand around it.
  Wire(std::string_view bytes, const char *what, int depth = 0);

  /// Goes to the next field; false at the end.
  bool next();
  uint32_t field() const { return field_; }

  int64_t integer();
  float number();
  std::string_view bytes();
  /// The same as text, which has to be UTF-8.
  std::string text();
  /// The message that the field holds.
  Wire message(const char *what);
  /// One element of a repeated field, or all of a packed one.
  void integers(std::vector<int64_t> &out);
  void numbers(std::vector<float> &out);
  void doubles(std::vector<double> &out);

private:
  [[noreturn]] void broken(const std::string &why) const;
  uint64_t varint();
  std::string_view take(uint64_t size);
  void want(uint32_t type, const char *name);

  std::string_view rest_;
  const char *what_;
  int depth_;
  uint32_t field_ = 0, type_ = 0;
  std::string_view value_; // of a field with a length, or of four or eight bytes
  uint64_t number_ = 0;    // of a varint
};

} // namespace kiln::onnx
