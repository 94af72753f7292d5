// The header walked once, each length held against what is left.
#include "frontend/gguf/Reader.h"

#include "runtime/support/Error.h"
#include "runtime/support/Tensor.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace kiln::gguf {

namespace {

constexpr uint32_t magic = 0x46554747;                                      // "GGUF"
constexpr uint64_t leastEntry = 8 + 4 + 1, leastTensor = 8 + 4 + 8 + 4 + 8; // bytes of a key's and a tensor's record
constexpr uint32_t mostAxes = 4;

/// Bytes of a number; 0 for strings and arrays.
size_t widthOf(Type type) {
  switch (type) {
  case Type::U8:
  case Type::I8:
  case Type::Bool:
    return 1;
  case Type::U16:
  case Type::I16:
    return 2;
  case Type::U32:
  case Type::I32:
  case Type::F32:
    return 4;
  case Type::U64:
  case Type::I64:
  case Type::F64:
    return 8;
  default:
    return 0;
  }
}

template <typename T> T load(std::string_view bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

std::optional<double> numberOf(Type type, std::string_view bytes) {
  switch (type) {
  case Type::U8:
    return load<uint8_t>(bytes);
  case Type::I8:
    return load<int8_t>(bytes);
  case Type::U16:
    return load<uint16_t>(bytes);
  case Type::I16:
    return load<int16_t>(bytes);
  case Type::U32:
    return load<uint32_t>(bytes);
  case Type::I32:
    return load<int32_t>(bytes);
  case Type::U64:
    return static_cast<double>(load<uint64_t>(bytes));
  case Type::I64:
    return static_cast<double>(load<int64_t>(bytes));
  case Type::F32: // as its shortest text reads: 1e-6, not 9.999999974752427e-07
    return std::strtod(shortest(load<float>(bytes)).c_str(), nullptr);
  case Type::F64:
    return load<double>(bytes);
  default:
    return std::nullopt;
  }
}

bool isReal(Type type) { return type == Type::F32 || type == Type::F64; }

} // namespace

class Parser {
public:
  Parser(std::string_view bytes, File &file) : bytes_(bytes), file_(file) {}

  void run() {
    if (bytes_.size() < 24 || take<uint32_t>() != magic)
      bad("it does not begin with 'GGUF'");
    uint32_t version = take<uint32_t>();
    if (version != 2 && version != 3)
      bad(format("version %u; 2 and 3 are known", version));
    uint64_t tensors = take<uint64_t>(), entries = take<uint64_t>();
    if (entries > left() / leastEntry)
      bad(format("%llu keys do not fit the %zu bytes that are left", static_cast<unsigned long long>(entries), left()));
    for (uint64_t i = 0; i < entries; ++i)
      readEntry();
    if (tensors > left() / leastTensor)
      bad(format("%llu tensors do not fit the %zu bytes that are left", static_cast<unsigned long long>(tensors),
                 left()));
    for (uint64_t i = 0; i < tensors; ++i)
      readTensor();
    placeTensors();
  }

private:
  [[noreturn]] void bad(const std::string &why) {
    throw Error(file_.what_ + " is not a GGUF file, or damaged: " + why);
  }
  size_t left() const { return bytes_.size() - at_; }

  std::string_view skip(uint64_t count) {
    if (count > left())
      bad(format("%llu bytes are wanted at byte %zu, where %zu are left", static_cast<unsigned long long>(count), at_,
                 left()));
    std::string_view taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }
  template <typename T> T take() { return load<T>(skip(sizeof(T))); }
  std::string_view takeText() {
    uint64_t size = take<uint64_t>();
    return skip(size);
  }

  Type takeType() {
    uint32_t type = take<uint32_t>();
    if (type > static_cast<uint32_t>(Type::F64))
      bad(format("there is no type %u of values", type));
    return static_cast<Type>(type);
  }

  void readEntry() {
    std::string key(takeText());
    if (key.empty() || key.size() > 65535)
      bad(format("a key of %zu bytes", key.size()));
    Value value;
    value.type = takeType();
    if (value.type == Type::String)
      value.bytes = takeText();
    else if (value.type == Type::Array)
      readArray(value, key);
    else
      value.bytes = skip(widthOf(value.type));
    if (!file_.metadata_.emplace(key, value).second)
      bad("the key " + jsonish(key) + " stands twice");
  }

  void readArray(Value &value, const std::string &key) {
    value.element = takeType();
    value.count = take<uint64_t>();
    if (value.element == Type::Array)
      bad("the value of " + jsonish(key) + " is a list of lists");
    size_t width = widthOf(value.element), least = width ? width : 8;
    if (value.count > left() / least)
      bad(format("a list of %llu does not fit the %zu bytes that are left",
                 static_cast<unsigned long long>(value.count), left()));
    size_t begin = at_;
    if (width)
      skip(value.count * width);
    else
      for (uint64_t i = 0; i < value.count; ++i)
        takeText();
    value.bytes = bytes_.substr(begin, at_ - begin);
  }

  void readTensor() {
    TensorInfo tensor;
    tensor.name = std::string(takeText());
    if (tensor.name.empty() || tensor.name.size() > 1024)
      bad(format("a tensor's name of %zu bytes", tensor.name.size()));
    uint32_t axes = take<uint32_t>();
    if (axes > mostAxes)
      bad("tensor " + jsonish(tensor.name) + format(" has %u axes, more than 4", axes));
    for (uint32_t i = 0; i < axes; ++i) {
      uint64_t extent = take<uint64_t>();
      if (extent < 1 || extent > INT64_MAX)
        bad("tensor " + jsonish(tensor.name) + " has an axis without elements, or too many");
      tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(extent));
    }
    uint32_t type = take<uint32_t>();
    tensor.type = blockType(type);
    if (!tensor.type)
      throw Error(file_.what_ + ": tensor " + jsonish(tensor.name) + format(" is of the type %u (", type) +
                  typeName(type) + "), which is not read; known are " + knownTypes());
    offsets_.push_back(take<uint64_t>());
    file_.tensors_.push_back(std::move(tensor));
  }

  /// Where the tensors' bytes are: inside, aligned, each apart from the others.
  void placeTensors() {
    int64_t alignment = file_.whole("general.alignment").value_or(32);
    if (alignment < 1 || alignment > 65536 || (alignment & (alignment - 1)))
      bad(format("general.alignment is %lld; a power of two up to 65536 is expected",
                 static_cast<long long>(alignment)));
    uint64_t step = static_cast<uint64_t>(alignment), begin = (at_ + step - 1) / step * step;
    std::string_view data = begin < bytes_.size() ? bytes_.substr(begin) : std::string_view();
    std::vector<std::pair<uint64_t, uint64_t>> places;
    for (size_t i = 0; i < file_.tensors_.size(); ++i) {
      TensorInfo &tensor = file_.tensors_[i];
      auto wrong = [&](const std::string &why) { bad("tensor " + jsonish(tensor.name) + " " + why); };
      std::optional<int64_t> count = countElements(tensor.shape);
      int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back(), size = 0;
      if (!count || row % tensor.type->elements ||
          __builtin_mul_overflow(*count / tensor.type->elements, static_cast<int64_t>(tensor.type->bytes), &size))
        wrong("has rows that are no whole blocks, or too many elements");
      uint64_t bytes = static_cast<uint64_t>(size);
      if (offsets_[i] % step)
        wrong(format("begins at byte %llu, which is not aligned", static_cast<unsigned long long>(offsets_[i])));
      if (offsets_[i] > data.size() || bytes > data.size() - offsets_[i])
        wrong("lies outside the file; it is damaged or truncated");
      tensor.data = reinterpret_cast<const uint8_t *>(data.data()) + offsets_[i];
      tensor.bytes = bytes;
      places.emplace_back(offsets_[i], bytes);
    }
    std::sort(places.begin(), places.end());
    for (size_t i = 1; i < places.size(); ++i)
      if (places[i - 1].first + places[i - 1].second > places[i].first)
        bad("two tensors overlap");
    std::vector<std::string_view> names;
    for (const TensorInfo &tensor : file_.tensors_)
      names.push_back(tensor.name);
    std::sort(names.begin(), names.end());
    if (auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end())
      bad("the tensor " + jsonish(std::string(*twice)) + " stands twice");
  }

  static std::string jsonish(const std::string &name) {
    std::string text = "'";
    for (char c : name.substr(0, 80))
      text += c < ' ' || c > '~' ? '?' : c;
    return text + "'";
  }

  std::string_view bytes_;
  File &file_;
  size_t at_ = 0;
  std::vector<uint64_t> offsets_;
};

File File::parse(std::string_view bytes, const std::string &what) {
  File file;
  file.what_ = what;
  Parser(bytes, file).run();
  return file;
}

void widen(const TensorInfo &tensor, float *out) {
  const uint8_t *block = tensor.data;
  int64_t count = countElements(tensor.shape).value_or(0);
  for (int64_t i = 0; i < count; i += tensor.type->elements, block += tensor.type->bytes)
    tensor.type->widen(block, out + i);
}

File File::open(const std::string &path) {
  MappedFile mapped(path);
  File file = parse(mapped.text(), "'" + path + "'");
  file.file_.emplace(std::move(mapped));
  return file;
}

const TensorInfo *File::find(std::string_view name) const {
  auto found = std::find_if(tensors_.begin(), tensors_.end(), [&](const TensorInfo &t) { return t.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

const Value *File::value(std::string_view key) const {
  auto found = metadata_.find(key);
  return found == metadata_.end() ? nullptr : &found->second;
}

[[noreturn]] static void wrongKind(const File &file, std::string_view key, const char *expected) {
  fail("%s: '%s' is of another kind; %s is expected", file.what().c_str(), std::string(key).c_str(), expected);
}

std::optional<std::string> File::text(std::string_view key) const {
  const Value *found = value(key);
  if (found && found->type != Type::String)
    wrongKind(*this, key, "a text");
  return found ? std::optional(std::string(found->bytes)) : std::nullopt;
}

std::optional<double> File::number(std::string_view key) const {
  const Value *found = value(key);
  std::optional<double> number = found ? numberOf(found->type, found->bytes) : std::nullopt;
  if (found && !number)
    wrongKind(*this, key, "a number");
  if (number && !std::isfinite(*number))
    fail("%s: '%s' is not finite; a number is expected", what().c_str(), std::string(key).c_str());
  return number;
}

std::optional<int64_t> File::whole(std::string_view key) const {
  std::optional<double> found = number(key);
  if (!found)
    return std::nullopt;
  if (isReal(value(key)->type) || *found < -0x1p53 || *found > 0x1p53)
    wrongKind(*this, key, "a whole number");
  return static_cast<int64_t>(*found);
}

std::optional<bool> File::flag(std::string_view key) const {
  const Value *found = value(key);
  if (found && found->type != Type::Bool)
    wrongKind(*this, key, "true or false");
  return found ? std::optional(found->bytes[0] != 0) : std::nullopt;
}

std::vector<std::string_view> File::texts(std::string_view key) const {
  std::vector<std::string_view> list;
  const Value *found = value(key);
  if (found && (found->type != Type::Array || found->element != Type::String))
    wrongKind(*this, key, "a list of texts");
  for (size_t at = 0; found && at < found->bytes.size();) {
    uint64_t size = load<uint64_t>(found->bytes.substr(at));
    list.push_back(found->bytes.substr(at + 8, size));
    at += 8 + size;
  }
  return list;
}

std::vector<double> File::numbers(std::string_view key) const {
  std::vector<double> list;
  const Value *found = value(key);
  if (found && (found->type != Type::Array || !widthOf(found->element) || found->element == Type::Bool))
    wrongKind(*this, key, "a list of numbers");
  size_t width = found ? widthOf(found->element) : 1;
  for (size_t at = 0; found && at < found->bytes.size(); at += width)
    list.push_back(*numberOf(found->element, found->bytes.substr(at)));
  return list;
}

} // namespace kiln::gguf
