// Fields of messages: numbers of variable length, lengths, packed lists.
#include "frontend/onnx/Wire.h"

#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <cstring>

namespace kiln::onnx {

namespace {
enum WireType : uint32_t { kVarint = 0, kEight = 1, kLength = 2, kFour = 5 };
constexpr int kMaxDepth = 64;
} // namespace

Wire::Wire(std::string_view bytes, const char *what, int depth) : rest_(bytes), what_(what), depth_(depth) {
  if (depth > kMaxDepth)
    broken(format("messages are nested more than %d deep", kMaxDepth));
}

void Wire::broken(const std::string &why) const {
  fail("this is no ONNX file, or a damaged one: in %s, %s", what_, why.c_str());
}

uint64_t Wire::varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (rest_.empty())
      broken("a number is cut short");
    uint8_t byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (!(byte & 0x80))
      return value;
  }
  broken("a number has more than ten bytes");
}

std::string_view Wire::take(uint64_t size) {
  if (size > rest_.size())
    broken(format("field %u says that it has %llu bytes, and %zu are left", field_,
                  static_cast<unsigned long long>(size), rest_.size()));
  std::string_view out = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return out;
}

bool Wire::next() {
  if (rest_.empty())
    return false;
  uint64_t key = varint();
  if (key >> 3 == 0 || key >> 3 > 0x1FFFFFFF)
    broken("a field's number is out of range");
  field_ = static_cast<uint32_t>(key >> 3);
  type_ = static_cast<uint32_t>(key & 7);
  switch (type_) {
  case kVarint:
    number_ = varint();
    return true;
  case kEight:
    value_ = take(8);
    return true;
  case kFour:
    value_ = take(4);
    return true;
  case kLength:
    value_ = take(varint());
    return true;
  default:
    broken(format("field %u has the wire type %u", field_, type_));
  }
}

void Wire::want(uint32_t type, const char *name) {
  if (type_ != type)
    broken(format("field %u is no %s", field_, name));
}

int64_t Wire::integer() {
  want(kVarint, "number");
  return static_cast<int64_t>(number_);
}

float Wire::number() {
  want(kFour, "float");
  float out;
  std::memcpy(&out, value_.data(), 4);
  return out;
}

std::string_view Wire::bytes() {
  want(kLength, "text or message");
  return value_;
}

std::string Wire::text() {
  std::string_view out = bytes();
  requireUtf8(out, format("a text of %s", what_));
  return std::string(out);
}

Wire Wire::message(const char *what) { return {bytes(), what, depth_ + 1}; }

void Wire::integers(std::vector<int64_t> &out) {
  if (type_ == kVarint) {
    out.push_back(static_cast<int64_t>(number_));
    return;
  }
  std::string_view outer = rest_;
  rest_ = bytes();
  while (!rest_.empty())
    out.push_back(static_cast<int64_t>(varint()));
  rest_ = outer;
}

template <typename T> static void append(std::string_view bytes, std::vector<T> &out) {
  size_t count = bytes.size() / sizeof(T), before = out.size();
  out.resize(before + count);
  if (count > 0)
    std::memcpy(out.data() + before, bytes.data(), count * sizeof(T));
}

void Wire::numbers(std::vector<float> &out) {
  if (type_ != kFour && (type_ != kLength || value_.size() % 4 != 0))
    broken(format("field %u is no list of floats", field_));
  append(value_, out);
}

void Wire::doubles(std::vector<double> &out) {
  if (type_ != kEight && (type_ != kLength || value_.size() % 8 != 0))
    broken(format("field %u is no list of doubles", field_));
  append(value_, out);
}

} // namespace kiln::onnx
