// The header checked whole before a tensor is looked at.

#include "runtime/files/Safetensors.h"

#include "runtime/support/Error.h"
#include "runtime/support/Json.h"

#include <algorithm>
#include <cstring>
#include <set>

namespace kiln {

namespace {

constexpr uint64_t maxHeader = 100'000'000;

struct DtypePair {
  const char *theirs;
  kiln_dtype ours;
};
constexpr DtypePair dtypePairs[] = {
    {"F32", KILN_F32}, {"F64", KILN_F64}, {"BF16", KILN_BF16}, {"F16", KILN_F16},        {"I8", KILN_I8},
    {"U8", KILN_U8},   {"I16", KILN_I16}, {"U16", KILN_U16},   {"I32", KILN_I32},        {"U32", KILN_U32},
    {"I64", KILN_I64}, {"U64", KILN_U64}, {"BOOL", KILN_BOOL}, {"F8_E4M3", KILN_F8E4M3}, {"F8_E5M2", KILN_F8E5M2},
    {"C64", KILN_F32}, // pairs of real and imaginary parts, a last axis of two
};

const char *theirName(kiln_dtype dtype) {
  for (const DtypePair &pair : dtypePairs)
    if (pair.ours == dtype)
      return pair.theirs;
  fail("safetensors has no dtype for %s", dtypeName(dtype));
}

TensorView parseTensor(const Json &entry, std::string_view data, const std::string &what, bool eightBits) {
  TensorView tensor;
  tensor.name = entry.key();
  auto bad = [&](const std::string &why) { throw Error(what + ": tensor '" + tensor.name + "': " + why); };
  const std::string &dtype = entry.at("dtype").string();
  auto pair = std::find_if(std::begin(dtypePairs), std::end(dtypePairs),
                           [&](const DtypePair &pair) { return dtype == pair.theirs; });
  if (pair == std::end(dtypePairs))
    bad("the dtype '" + dtype + "' is not supported");
  tensor.dtype = pair->ours;
  size_t size = dtypeSize(tensor.dtype);
  if (!size && !eightBits)
    bad("floats of eight bits are read of a folder of Hugging Face alone (kiln build FOLDER)");
  const std::vector<Json> &shape = entry.at("shape").array();
  if (shape.size() > (dtype == "C64" ? 15 : 16))
    bad("more than 16 dimensions");
  for (const Json &dim : shape)
    tensor.shape.push_back(dim.integer(0, INT64_MAX));
  if (dtype == "C64")
    tensor.shape.push_back(2);
  const std::vector<Json> &offsets = entry.at("data_offsets").array();
  if (offsets.size() != 2)
    bad("data_offsets has not two numbers");
  int64_t all = static_cast<int64_t>(data.size());
  int64_t begin = offsets[0].integer(0, INT64_MAX), end = offsets[1].integer(0, INT64_MAX);
  if (begin > end || end > all)
    bad(format("bytes %lld to %lld lie outside the file's %lld bytes of data; the file is damaged or truncated",
               static_cast<long long>(begin), static_cast<long long>(end), static_cast<long long>(all)));
  std::optional<int64_t> count = countElements(tensor.shape);
  int64_t bytes = 0;
  if (!count || __builtin_mul_overflow(*count, static_cast<int64_t>(std::max<size_t>(size, 1)), &bytes) ||
      bytes != end - begin)
    bad(format("%s does not take the %lld bytes that data_offsets gives it",
               describeType(tensor.dtype, tensor.shape).c_str(), static_cast<long long>(end - begin)));
  tensor.data = reinterpret_cast<const uint8_t *>(data.data()) + begin;
  tensor.bytes = static_cast<size_t>(bytes);
  return tensor;
}

void readMetadata(const Json &entry, const std::string &what, std::map<std::string, std::string> &out) {
  try {
    for (const Json &pair : entry.object())
      out[pair.key()] = pair.string();
  } catch (const Error &error) {
    throw Error(what + ": __metadata__, from names to strings: " + error.what());
  }
}

} // namespace

Safetensors Safetensors::open(const std::string &path, bool eightBits) {
  MappedFile file(path);
  Safetensors result = parse(file.text(), "'" + path + "'", eightBits);
  result.files_.push_back(std::move(file));
  return result;
}

Safetensors Safetensors::parse(std::string_view bytes, const std::string &what, bool eightBits) {
  Safetensors result;
  result.what_ = what;
  if (bytes.size() < 8)
    throw Error(what + (bytes.empty() ? " is empty" : " is too short") + "; a safetensors file was expected");
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  if (header > maxHeader)
    throw Error(what + " is not a safetensors file, or damaged: its header would be longer than 100 MB");
  if (header < 2 || header > bytes.size() - 8 || bytes[8] != '{')
    throw Error(what + (header >= 2 && bytes.size() > 8 && bytes[8] == '{'
                            ? " is truncated: its header is not complete"
                            : " is not a safetensors file: its header does not start with '{'"));
  Json root = Json::parse(bytes.substr(8, header), what, 8);
  std::string_view data = bytes.substr(8 + header);
  for (const Json &entry : root.object()) {
    if (entry.key() == "__metadata__") {
      if (!entry.isNull()) // as MLX writes that there is none
        readMetadata(entry, what, result.metadata_);
      continue;
    }
    try {
      result.tensors_.push_back(parseTensor(entry, data, what, eightBits));
    } catch (const Error &error) {
      std::string text = error.what();
      throw Error(text.starts_with(what) ? text : what + ": tensor '" + entry.key() + "': " + text);
    }
  }
  std::sort(result.tensors_.begin(), result.tensors_.end(), [](const TensorView &a, const TensorView &b) {
    return a.data != b.data ? a.data < b.data : a.bytes < b.bytes;
  });
  const uint8_t *at = reinterpret_cast<const uint8_t *>(data.data());
  for (const TensorView &tensor : result.tensors_) {
    if (tensor.data != at)
      throw Error(what + ": tensor '" + tensor.name +
                  (tensor.data < at ? "' overlaps another; the file is damaged"
                                    : "' leaves a hole before it; the file is damaged"));
    at += tensor.bytes;
  }
  if (at != reinterpret_cast<const uint8_t *>(data.data()) + data.size())
    throw Error(what + ": bytes after the last tensor belong to none; the file is damaged");
  for (size_t i = 0; i < result.tensors_.size(); ++i)
    result.byName_[result.tensors_[i].name] = i;
  return result;
}

Safetensors Safetensors::of(std::vector<TensorView> tensors, const std::string &what,
                            std::shared_ptr<const void> owner) {
  Safetensors result;
  result.what_ = what;
  result.tensors_ = std::move(tensors);
  result.owners_.push_back(std::move(owner));
  for (size_t i = 0; i < result.tensors_.size(); ++i)
    result.byName_[result.tensors_[i].name] = i;
  return result;
}

Safetensors Safetensors::join(std::vector<Safetensors> files,
                              const std::function<std::string(size_t, const std::string &)> &rename) {
  Safetensors result;
  for (size_t i = 0; i < files.size(); ++i) {
    result.what_ += (i == 0 ? "" : ", ") + files[i].what_;
    for (TensorView tensor : files[i].tensors_) {
      std::string own = tensor.name;
      tensor.name = rename(i, own);
      if (tensor.name.empty())
        continue;
      auto [place, isNew] = result.byName_.try_emplace(tensor.name, result.tensors_.size());
      if (!isNew)
        throw Error(files[i].what_ + ": '" + own + "' would be the model's '" + tensor.name +
                    "', which is there already");
      result.tensors_.push_back(std::move(tensor));
    }
    for (MappedFile &file : files[i].files_)
      result.files_.push_back(std::move(file));
    for (std::shared_ptr<const void> &owner : files[i].owners_)
      result.owners_.push_back(std::move(owner));
  }
  return result;
}

const TensorView *Safetensors::find(const std::string &name) const {
  auto found = byName_.find(name);
  return found == byName_.end() ? nullptr : &tensors_[found->second];
}

std::string safetensorsHeader(const std::vector<TensorView> &tensors,
                              const std::map<std::string, std::string> &metadata) {
  std::string header = "{";
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    for (const auto &[key, value] : metadata)
      header += (header.back() == '{' ? "" : ",") + jsonQuote(key) + ":" + jsonQuote(value);
    header += "}";
  }
  size_t offset = 0;
  for (const TensorView &tensor : tensors) {
    if (header.size() > 1)
      header += ",";
    header += jsonQuote(tensor.name) + ":{\"dtype\":\"" + theirName(tensor.dtype) +
              "\",\"shape\":" + describeShape(tensor.shape) +
              format(",\"data_offsets\":[%zu,%zu]}", offset, offset + tensor.bytes);
    offset += tensor.bytes;
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  uint64_t size = header.size();
  return std::string(reinterpret_cast<const char *>(&size), 8) + header;
}

void writeSafetensors(const std::string &path, const std::vector<TensorView> &tensors,
                      const std::map<std::string, std::string> &metadata) {
  AtomicFile file(path);
  file.write(safetensorsHeader(tensors, metadata));
  for (const TensorView &tensor : tensors)
    file.write(MadeBytes(tensor).view.data, tensor.bytes);
  file.commit();
}

std::string missingTensor(const Safetensors &file, const TensorRequest &request, const std::set<std::string> &wanted) {
  NearestName nearest(request.name);
  for (const TensorView &other : file.tensors())
    if (!wanted.contains(other.name))
      nearest.consider(other.name);
  return "'" + request.name + "' (" + describeType(request.dtype, request.shape) + ") is missing" + nearest.hint();
}

/// Why the tensors of the file cannot be those of the requests, and those that were converted on the way; null: no
/// floats are, which always can be.
static std::vector<std::string> misfits(const Safetensors &file, const std::vector<TensorRequest> &requests, bool exact,
                                        std::vector<Tensor> *converted) {
  std::vector<std::string> problems;
  std::set<std::string> wanted;
  for (const TensorRequest &request : requests)
    wanted.insert(request.name);
  if (converted)
    converted->resize(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    const TensorRequest &request = requests[i];
    std::string type = describeType(request.dtype, request.shape), why;
    const TensorView *tensor = file.find(request.name);
    if (!tensor) {
      problems.push_back(missingTensor(file, request, wanted));
      continue;
    }
    if (tensor->shape != request.shape) {
      problems.push_back("'" + request.name + "': expected " + type + ", found " +
                         describeType(tensor->dtype, tensor->shape));
      continue;
    }
    if (tensor->dtype == request.dtype)
      continue;
    if (isFloat(tensor->dtype) != isFloat(request.dtype)) {
      problems.push_back("'" + request.name + "': expected " + type + ", found " +
                         describeType(tensor->dtype, tensor->shape));
      continue;
    }
    if (!converted && isFloat(tensor->dtype))
      continue;
    Tensor own(request.name, request.dtype, request.shape);
    bool fits = convertElements(tensor->dtype, tensor->data, request.dtype, own.memory.data(), own.count(), why);
    if (converted)
      (*converted)[i] = std::move(own);
    if (!fits)
      problems.push_back("'" + request.name + "': expected " + type + ", found " +
                         describeType(tensor->dtype, tensor->shape) + ": " + why);
  }
  if (exact)
    for (const TensorView &tensor : file.tensors())
      if (!wanted.contains(tensor.name))
        problems.push_back("'" + tensor.name + "' (" + describeType(tensor.dtype, tensor.shape) +
                           ") is not in the model");
  return problems;
}

static void require(const std::vector<std::string> &problems, const Safetensors &file) {
  if (problems.empty())
    return;
  std::string text = file.what() + " does not fit the model:";
  for (const std::string &problem : problems)
    text += "\n  " + problem;
  throw Error(text);
}

std::vector<std::string> tensorMisfits(const Safetensors &file, const std::vector<TensorRequest> &requests,
                                       bool exact) {
  return misfits(file, requests, exact, nullptr);
}

void checkTensors(const Safetensors &file, const std::vector<TensorRequest> &requests, bool exact) {
  require(tensorMisfits(file, requests, exact), file);
}

void loadTensors(const Safetensors &file, const std::vector<TensorRequest> &requests, bool exact) {
  std::vector<Tensor> converted;
  require(misfits(file, requests, exact, &converted), file);
  for (size_t i = 0; i < requests.size(); ++i) {
    const TensorView *tensor = file.find(requests[i].name);
    if (tensor->bytes > 0)
      std::memcpy(requests[i].data, tensor->dtype == requests[i].dtype ? tensor->data : converted[i].memory.data(),
                  static_cast<size_t>(*countElements(requests[i].shape)) * dtypeSize(requests[i].dtype));
  }
}

} // namespace kiln
