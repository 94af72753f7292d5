// NVIDIA's older instructions rewritten as KHR's.

#include "backends/vulkan/compile/MatrixWords.h"
#include "backends/vulkan/compile/SpirvWords.h"
#include <cstring>
#include <map>
#include <set>

namespace kiln::vulkan {

namespace {
constexpr size_t boundWord = 3;

class Rewriter {
public:
  explicit Rewriter(const std::vector<uint32_t> &from)
      : from(from), to(from.begin(), from.begin() + spirvHeaderWords) {}

  std::vector<uint32_t> take() {
    forEachInstruction(from, [&](uint32_t op, size_t at, uint32_t length) {
      instruction(op, {from.begin() + std::ptrdiff_t(at), from.begin() + std::ptrdiff_t(at + length)});
    });
    return std::move(to);
  }

private:
  using Words = std::vector<uint32_t>;

  void put(uint32_t op, Words words) {
    words[0] = static_cast<uint32_t>(words.size()) << 16 | op;
    to.insert(to.end(), words.begin(), words.end());
  }

  /// New constants, as soon as their type is there: matrices' types, which come later, name them.
  void addConstants(uint32_t type) {
    if (!constants.empty())
      return;
    for (uint32_t value : {0, 1, 2, +spv::ScopeSubgroup}) {
      constants[value] = to[boundWord]++;
      put(spv::OpConstant, {0, type, constants[value], value});
    }
  }

  void instruction(uint32_t op, Words w) {
    switch (op) {
    case spv::OpCapability:
      if (w[1] == spv::CapabilityCooperativeMatrixNV)
        w[1] = CapabilityCooperativeMatrixKHR;
      break;
    case spv::OpExtension: {
      // The two names take the same number of words.
      static constexpr char before[28] = "SPV_NV_cooperative_matrix", after[28] = "SPV_KHR_cooperative_matrix";
      if (w.size() == 1 + sizeof before / 4 && std::memcmp(&w[1], before, sizeof before) == 0)
        std::memcpy(&w[1], after, sizeof after);
      break;
    }
    case spv::OpTypeInt:
      to.insert(to.end(), w.begin(), w.end());
      if (w[2] == 32 && w[3] == 0)
        addConstants(w[1]);
      return;
    case spv::OpConstant:
      values[w[2]] = w[3];
      break;
    case spv::OpConstantTrue:
      isTrue.insert(w[2]);
      break;
    case spv::OpTypeCooperativeMatrixNV: // result, component, scope, rows, columns
      return put(OpTypeCooperativeMatrixKHR,
                 {0, w[1], w[2], constants[spv::ScopeSubgroup], w[4], w[5], constants[values[w[3]] - MatrixLeft]});
    case spv::OpCooperativeMatrixLoadNV: { // type, result, pointer, stride, whether by columns, memory operands
      Words load = {0, w[1], w[2], w[3], constants[isTrue.contains(w[5])], w[4]};
      load.insert(load.end(), w.begin() + 6, w.end());
      return put(OpCooperativeMatrixLoadKHR, load);
    }
    case spv::OpCooperativeMatrixStoreNV: { // pointer, object, stride, whether by columns, memory operands
      Words store = {0, w[1], w[2], constants[isTrue.contains(w[4])], w[3]};
      store.insert(store.end(), w.begin() + 5, w.end());
      return put(OpCooperativeMatrixStoreKHR, store);
    }
    case spv::OpCooperativeMatrixMulAddNV:
      return put(OpCooperativeMatrixMulAddKHR, w);
    default:
      break;
    }
    to.insert(to.end(), w.begin(), w.end());
  }

  const Words &from;
  Words to;
  std::map<uint32_t, uint32_t> constants; // value to id: of ours
  std::map<uint32_t, uint32_t> values;    // id to value
  std::set<uint32_t> isTrue;              // ids
};
} // namespace

void useKhrMatrices(std::vector<uint32_t> &words) {
  if (hasCapability(words, spv::CapabilityCooperativeMatrixNV))
    words = Rewriter(words).take();
}

} // namespace kiln::vulkan
