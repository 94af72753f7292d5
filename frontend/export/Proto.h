// ONNX's messages, written in the wire format of protocol buffers (frontend/onnx/Wire.h reads it): one function for
// each message that a model consists of. https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::exported {

/// A message's bytes while its fields are added, in their order.
class Message {
public:
  Message &integer(uint32_t field, int64_t value);
  Message &number(uint32_t field, float value);
  Message &bytes(uint32_t field, std::string_view value);
  Message &message(uint32_t field, const Message &value) { return bytes(field, value.bytes_); }
  const std::string &text() const { return bytes_; }

private:
  void varint(uint64_t value);
  std::string bytes_;
};

/// TensorProto.DataType.
enum class DataType : int {
  Float = 1,
  Uint8 = 2,
  Int8 = 3,
  Int32 = 6,
  Int64 = 7,
  Bool = 9,
  Float16 = 10,
  Double = 11,
  Uint32 = 12,
  Bfloat16 = 16,
};

/// AttributeProto's: a node's settings.
Message attribute(std::string_view name, int64_t value);
Message attribute(std::string_view name, float value);
Message attribute(std::string_view name, std::string_view value);
Message attribute(std::string_view name, const std::vector<int64_t> &values);
Message graphAttribute(std::string_view name, const Message &graph);

Message node(std::string_view type, const std::vector<std::string> &inputs, const std::vector<std::string> &outputs,
             std::string_view name, const std::vector<Message> &attributes, std::string_view doc);

/// A constant. Its bytes follow in the message, or lie in `file` from `offset` on, where that is not empty.
Message tensor(std::string_view name, DataType type, const std::vector<int64_t> &shape, std::string_view bytes,
               std::string_view file = "", uint64_t offset = 0);

/// An input or a result. A dimension is a number, or (an integer in no text is one) a name.
Message valueInfo(std::string_view name, DataType type, const std::vector<std::string> &dims);

} // namespace kiln::exported
