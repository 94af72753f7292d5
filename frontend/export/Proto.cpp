// Fields by their numbers in onnx.proto.
#include "frontend/export/Proto.h"

#include <algorithm>
#include <cstring>

namespace kiln::exported {

void Message::varint(uint64_t value) {
  for (; value >= 128; value >>= 7)
    bytes_ += static_cast<char>(value | 128);
  bytes_ += static_cast<char>(value);
}

Message &Message::integer(uint32_t field, int64_t value) {
  varint(field << 3);
  varint(static_cast<uint64_t>(value));
  return *this;
}

Message &Message::number(uint32_t field, float value) {
  varint(field << 3 | 5);
  char raw[sizeof value];
  std::memcpy(raw, &value, sizeof value);
  bytes_.append(raw, sizeof raw);
  return *this;
}

Message &Message::bytes(uint32_t field, std::string_view value) {
  varint(field << 3 | 2);
  varint(value.size());
  bytes_ += value;
  return *this;
}

// AttributeProto: name 1, f 2, i 3, s 4, t 5, g 6, ints 8, type 20 (FLOAT 1, INT 2, STRING 3, GRAPH 5, INTS 7).

Message attribute(std::string_view name, int64_t value) {
  return Message().bytes(1, name).integer(3, value).integer(20, 2);
}

Message attribute(std::string_view name, float value) {
  return Message().bytes(1, name).number(2, value).integer(20, 1);
}

Message attribute(std::string_view name, std::string_view value) {
  return Message().bytes(1, name).bytes(4, value).integer(20, 3);
}

Message attribute(std::string_view name, const std::vector<int64_t> &values) {
  Message out;
  out.bytes(1, name);
  for (int64_t value : values)
    out.integer(8, value);
  return out.integer(20, 7);
}

Message graphAttribute(std::string_view name, const Message &graph) {
  return Message().bytes(1, name).message(6, graph).integer(20, 5);
}

// NodeProto: input 1, output 2, name 3, op_type 4, attribute 5, doc_string 6.

Message node(std::string_view type, const std::vector<std::string> &inputs, const std::vector<std::string> &outputs,
             std::string_view name, const std::vector<Message> &attributes, std::string_view doc) {
  Message out;
  for (const std::string &input : inputs)
    out.bytes(1, input);
  for (const std::string &output : outputs)
    out.bytes(2, output);
  out.bytes(3, name).bytes(4, type);
  for (const Message &attribute : attributes)
    out.message(5, attribute);
  return doc.empty() ? out : out.bytes(6, doc);
}

// TensorProto: dims 1, data_type 2, name 8, raw_data 9, external_data 13 (key 1, value 2), data_location 14.

Message tensor(std::string_view name, DataType type, const std::vector<int64_t> &shape, std::string_view bytes,
               std::string_view file, uint64_t offset) {
  Message out;
  for (int64_t dim : shape)
    out.integer(1, dim);
  out.integer(2, static_cast<int>(type)).bytes(8, name);
  if (file.empty())
    return out.bytes(9, bytes);
  auto entry = [&](std::string_view key, std::string_view value) {
    out.message(13, Message().bytes(1, key).bytes(2, value));
  };
  entry("location", file);
  entry("offset", std::to_string(offset));
  entry("length", std::to_string(bytes.size()));
  return out.integer(14, 1);
}

// ValueInfoProto: name 1, type 2; TypeProto: tensor_type 1; its elem_type 1, shape 2; a shape's dim 1: value 1, name 2.

Message valueInfo(std::string_view name, DataType type, const std::vector<std::string> &dims) {
  Message shape;
  for (const std::string &dim : dims) {
    bool isNumber = !dim.empty() && std::all_of(dim.begin(), dim.end(), [](char c) { return c >= '0' && c <= '9'; });
    shape.message(1, isNumber ? Message().integer(1, std::stoll(dim)) : Message().bytes(2, dim));
  }
  Message ofTensor = Message().integer(1, static_cast<int>(type)).message(2, shape);
  return Message().bytes(1, name).message(2, Message().message(1, ofTensor));
}

} // namespace kiln::exported
