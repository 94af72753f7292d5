// ONNX messages written by hand: what a test damages, field by field.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kiln::onnx::testing {

inline std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 128; value >>= 7)
    out += static_cast<char>(value | 128);
  return out + static_cast<char>(value);
}

inline std::string number(uint32_t field, int64_t value) {
  return varint(field << 3) + varint(static_cast<uint64_t>(value));
}

inline std::string text(uint32_t field, const std::string &bytes) {
  return varint(field << 3 | 2) + varint(bytes.size()) + bytes;
}

/// A tensor: its type as ONNX counts them (1 is float, 7 int64).
inline std::string tensor(const std::string &name, int type, const std::vector<int64_t> &shape,
                          const std::string &raw) {
  std::string out;
  for (int64_t dim : shape)
    out += number(1, dim);
  return out + number(2, type) + text(8, name) + text(9, raw);
}

/// An input or output; a negative number is an open dimension.
inline std::string value(const std::string &name, int type, const std::vector<int64_t> &shape) {
  std::string dims;
  for (int64_t dim : shape)
    dims += text(1, dim < 0 ? text(2, "N" + std::to_string(-dim)) : number(1, dim));
  return text(1, name) + text(2, text(1, number(1, type) + text(2, dims)));
}

inline std::string node(const std::string &type, const std::vector<std::string> &inputs,
                        const std::vector<std::string> &outputs, const std::string &attributes = "",
                        const std::string &domain = "") {
  std::string out;
  for (const std::string &input : inputs)
    out += text(1, input);
  for (const std::string &output : outputs)
    out += text(2, output);
  return out + text(3, "the_" + type) + text(4, type) + attributes + (domain.empty() ? "" : text(7, domain));
}

/// An attribute of a whole number, as a node's field.
inline std::string attribute(const std::string &name, int64_t number_) {
  return text(5, text(1, name) + number(3, number_) + number(20, 2));
}

inline std::string model(const std::string &graph, int64_t opset = 17) {
  return number(1, 8) + text(7, graph) + text(8, number(2, opset));
}

} // namespace kiln::onnx::testing
