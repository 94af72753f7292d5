#include "runtime/files/Idx.h"

#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <cstring>

namespace kiln {

Tensor parseIdx(std::string_view bytes, const std::string &what) {
  auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(bytes[i])); };
  if (bytes.empty())
    fail("%s is empty; an IDX file was expected", what.c_str());
  if (bytes.size() < 4 || byte(0) != 0 || byte(1) != 0)
    fail("%s is not an IDX file", what.c_str());
  if (byte(2) != 8)
    fail("%s holds elements of type 0x%02x; only unsigned bytes (0x08) are read", what.c_str(), byte(2));
  size_t rank = byte(3);
  if (rank < 1 || rank > 4 || bytes.size() < 4 + 4 * rank)
    fail("%s is damaged: its header gives %zu dimensions", what.c_str(), rank);
  std::vector<int64_t> shape;
  for (size_t d = 0; d < rank; ++d) {
    size_t at = 4 + 4 * d;
    shape.push_back(byte(at) << 24 | byte(at + 1) << 16 | byte(at + 2) << 8 | byte(at + 3));
  }
  std::string_view data = bytes.substr(4 + 4 * rank);
  std::optional<int64_t> count = countElements(shape);
  if (!count || static_cast<uint64_t>(*count) != data.size())
    fail("%s is truncated or damaged: its header says %s, it holds %zu bytes", what.c_str(),
         describeShape(shape).c_str(), data.size());
  Tensor tensor("", KILN_U8, shape);
  if (!data.empty())
    std::memcpy(tensor.memory.data(), data.data(), data.size());
  return tensor;
}

Tensor readIdx(const std::string &path) { return parseIdx(readFile(path), "'" + path + "'"); }

} // namespace kiln
