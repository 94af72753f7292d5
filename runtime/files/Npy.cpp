// The header's small grammar, checked before anything is allocated.

#include "runtime/files/Npy.h"

#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <charconv>
#include <cstring>

namespace kiln {

namespace {
struct Descr {
  const char *text;
  kiln_dtype dtype;
};
constexpr Descr descrs[] = {{"<f4", KILN_F32}, {"<f8", KILN_F64}, {"<f2", KILN_F16}, {"|i1", KILN_I8},
                            {"|u1", KILN_U8},  {"<i2", KILN_I16}, {"<u2", KILN_U16}, {"<i4", KILN_I32},
                            {"<u4", KILN_U32}, {"<i8", KILN_I64}, {"<u8", KILN_U64}, {"|b1", KILN_BOOL},
                            {"<c8", KILN_F32}, {"<c1", KILN_F64}}; // complex ones (c8, c16): a last axis of two

/// What follows `'key':` in the header's Python dictionary.
std::string_view valueAfter(std::string_view header, const char *key, const std::string &what) {
  size_t at = header.find(key);
  if (at == std::string_view::npos || (at = header.find(':', at)) == std::string_view::npos)
    fail("%s: the .npy header has no %s", what.c_str(), key);
  header.remove_prefix(at + 1);
  while (!header.empty() && header[0] == ' ')
    header.remove_prefix(1);
  return header;
}

/// A dtype as it was written, a list for a structured one: what follows it in the header is no part of it.
std::string written(std::string_view descr) {
  size_t end = descr.size();
  if (!descr.empty() && (descr[0] == '\'' || descr[0] == '"'))
    end = descr.find(descr[0], 1);
  else if (!descr.empty() && descr[0] == '[')
    end = descr.find(']');
  return std::string(descr.substr(0, end == std::string_view::npos ? end : std::min<size_t>(end + 1, 60)));
}

std::vector<int64_t> parseShape(std::string_view text, const std::string &what) {
  std::vector<int64_t> shape;
  size_t close = text.find(')');
  if (text.empty() || text[0] != '(' || close == std::string_view::npos)
    fail("%s: the .npy header's shape is damaged", what.c_str());
  text = text.substr(1, close - 1);
  while (!text.empty()) {
    if (text[0] == ' ' || text[0] == ',') {
      text.remove_prefix(1);
      continue;
    }
    int64_t dim = 0;
    auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), dim);
    if (code != std::errc() || dim < 0 || shape.size() >= 32)
      fail("%s: the .npy header's shape is damaged", what.c_str());
    shape.push_back(dim);
    text.remove_prefix(static_cast<size_t>(end - text.data()));
  }
  return shape;
}

/// From an order whose first axis goes fastest to one whose last does.
void turn(const uint8_t *from, const std::vector<int64_t> &shape, size_t size, uint8_t *to) {
  std::vector<size_t> index(shape.size()), stride(shape.size(), size);
  for (size_t d = 1; d < shape.size(); ++d)
    stride[d] = stride[d - 1] * static_cast<size_t>(shape[d - 1]);
  size_t count = static_cast<size_t>(*countElements(shape)), place = 0;
  for (size_t i = 0; i < count; ++i) {
    std::memcpy(to + i * size, from + place, size);
    for (size_t d = shape.size(); d-- > 0;) {
      place += stride[d];
      if (++index[d] < static_cast<size_t>(shape[d]))
        break;
      place -= stride[d] * index[d];
      index[d] = 0;
    }
  }
}
/// What is no .npy file, for messages: what people give in its place, by its first bytes.
const char *seemingly(std::string_view bytes) {
  static constexpr struct {
    size_t at;
    std::string_view bytes;
    const char *what;
  } known[] = {
      {8, "{\"", "a safetensors file, whose name is to end in .safetensors"},
      {0, "GIF8", "a GIF picture, whose name is to end in .gif"},
      {8, "WEBP", "a WebP picture: PNG, JPEG, BMP and GIF are read"},
      {4, "ftyp", "a picture, film or sound that is not read: pictures are PNG, JPEG, BMP or GIF, sounds .wav"},
      {0, "II*", "a TIFF picture: PNG, JPEG, BMP and GIF are read"},
      {0, {"MM\0*", 4}, "a TIFF picture: PNG, JPEG, BMP and GIF are read"},
      {0, "\x89PNG", "a PNG picture, whose name is to end in .png"},
      {0, "\xff\xd8\xff", "a JPEG picture, whose name is to end in .jpg"},
      {8, "WAVE", "a recording, whose name is to end in .wav"},
      {0, "ID3", "an MP3 recording: .wav files are read"},
      {0, "\xff\xfb", "an MP3 recording: .wav files are read"},
      {0, "fLaC", "a FLAC recording: .wav files are read"},
      {0, "OggS", "an Ogg recording: .wav files are read"},
      {0, "PK\3\4", "an archive, of arrays perhaps (.npz, .pt): give one of its .npy files, or a .safetensors file"},
      {0, "\x80\2", "a pickle: .npy and .safetensors files are read"},
      {0, "\x80\4", "a pickle: .npy and .safetensors files are read"},
      {0, "\x80\5", "a pickle: .npy and .safetensors files are read"},
      {0, "\x1f\x8b", "packed by gzip: unpack it"},
      {0, "\x89HDF", "an HDF5 file: .npy and .safetensors files are read"},
  };
  for (const auto &one : known)
    if (bytes.size() > one.at && bytes.substr(one.at).starts_with(one.bytes))
      return one.what;
  return bytes.empty() ? "empty" : "not a .npy file";
}
} // namespace

TensorView viewNpy(std::string_view bytes, const std::string &what, Memory &turned) {
  if (bytes.size() < 10 || std::memcmp(bytes.data(), "\x93NUMPY", 6) != 0)
    fail("%s is %s", what.c_str(), seemingly(bytes));
  uint8_t version = static_cast<uint8_t>(bytes[6]);
  size_t lengthBytes = version == 1 ? 2 : 4, start = 8 + lengthBytes;
  uint32_t length = 0;
  if (version < 1 || version > 3 || bytes.size() < start)
    fail("%s: .npy format %u is not known", what.c_str(), version);
  std::memcpy(&length, bytes.data() + 8, lengthBytes);
  if (length > bytes.size() - start)
    fail("%s is truncated: its header is not complete", what.c_str());
  std::string_view header = bytes.substr(start, length);
  std::string_view descr = valueAfter(header, "'descr'", what);
  const Descr *found = nullptr;
  for (const Descr &candidate : descrs)
    if (descr.size() > 5 && descr.substr(1, 3) == candidate.text)
      found = &candidate;
  if (!found)
    fail("%s: the NumPy dtype %s is not supported; numbers that are little-endian are: array.astype('<f4')",
         what.c_str(), written(descr).c_str());
  std::string_view fortran = valueAfter(header, "'fortran_order'", what);
  if (!fortran.starts_with("True") && !fortran.starts_with("False"))
    fail("%s: the .npy header's fortran_order is damaged", what.c_str());
  std::vector<int64_t> shape = parseShape(valueAfter(header, "'shape'", what), what);
  bool pairs = found->text[1] == 'c';
  if (pairs)
    shape.push_back(2);
  std::string_view data = bytes.substr(start + length);
  std::optional<int64_t> count = countElements(shape);
  int64_t expected = 0;
  if (!count || __builtin_mul_overflow(*count, static_cast<int64_t>(dtypeSize(found->dtype)), &expected) ||
      expected != static_cast<int64_t>(data.size()))
    fail("%s is truncated or damaged: %s does not take its %zu bytes of data", what.c_str(),
         describeType(found->dtype, shape).c_str(), data.size());
  const uint8_t *rows = reinterpret_cast<const uint8_t *>(data.data());
  if (fortran.starts_with("True") && shape.size() > 1) {
    turned = Memory(data.size());
    std::vector<int64_t> elements(shape.begin(), shape.end() - (pairs ? 1 : 0)); // a pair's two stay together
    turn(rows, elements, dtypeSize(found->dtype) * (pairs ? 2 : 1), turned.data());
    rows = turned.data();
  }
  return {"", found->dtype, std::move(shape), rows, data.size()};
}

Tensor parseNpy(std::string_view bytes, const std::string &what) {
  Memory turned;
  TensorView view = viewNpy(bytes, what, turned);
  Tensor tensor("", view.dtype, view.shape);
  if (view.bytes > 0)
    std::memcpy(tensor.memory.data(), view.data, view.bytes);
  return tensor;
}

Tensor readNpy(const std::string &path) {
  MappedFile file(path);
  return parseNpy(file.text(), "'" + path + "'");
}

void writeNpy(const std::string &path, const TensorView &tensor) {
  Tensor widened;
  TensorView view = tensor;
  if (tensor.dtype == KILN_BF16) {
    std::string why;
    widened = Tensor(tensor.name, KILN_F32, tensor.shape);
    convertElements(KILN_BF16, tensor.data, KILN_F32, widened.memory.data(), widened.count(), why);
    view = widened.view();
  }
  const char *descr = nullptr;
  for (const Descr &candidate : descrs)
    if (!descr && candidate.dtype == view.dtype)
      descr = candidate.text;
  std::string header = format("{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
  for (int64_t dim : view.shape)
    header += std::to_string(dim) + ",";
  header += "), }";
  header.resize((10 + header.size() + 1 + 63) / 64 * 64 - 10 - 1, ' ');
  header += '\n';
  uint16_t length = static_cast<uint16_t>(header.size());
  AtomicFile file(path);
  file.write(std::string_view("\x93NUMPY\x01\x00", 8));
  file.write(&length, 2);
  file.write(header);
  file.write(view.data, view.bytes);
  file.commit();
}

} // namespace kiln
