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
    if (brain)
      addBrain();
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

  /// The type of bf16 factors.
  uint32_t brainType() {
    if (!brain) {
      brain = to[boundWord]++;
      put(spv::OpTypeFloat, {0, brain, 16, FPEncodingBFloat16KHR});
    }
    return brain;
  }

  /// What a module says that has such a type.
  void addBrain() {
    size_t capabilities = spirvHeaderWords, extensions = spirvHeaderWords;
    forEachInstruction(to, [&](uint32_t op, size_t at, uint32_t length) {
      if (op == spv::OpCapability)
        capabilities = extensions = at + length;
      else if (op == spv::OpExtension)
        extensions = at + length;
    });
    static constexpr char name[20] = "SPV_KHR_bfloat16";
    Words extension(1 + sizeof name / 4);
    extension[0] = static_cast<uint32_t>(extension.size()) << 16 | spv::OpExtension;
    std::memcpy(&extension[1], name, sizeof name);
    to.insert(to.begin() + std::ptrdiff_t(extensions), extension.begin(), extension.end());
    constexpr uint32_t capability = 2u << 16 | spv::OpCapability;
    to.insert(to.begin() + std::ptrdiff_t(capabilities),
              {capability, CapabilityBFloat16TypeKHR, capability, CapabilityBFloat16CooperativeMatrixKHR});
  }

  /// A matrix's type: result, component, scope, rows, columns.
  void matrixType(const Words &w) {
    uint32_t part = values[w[3]], component = w[2], use = part;
    if (part == MatrixBrainLeft || part == MatrixBrainRight) {
      component = brainType();
      use = part - MatrixBrainLeft + MatrixLeft;
    }
    if (integers.contains(component))
      integers.insert(w[1]);
    matrices.insert(w[1]);
    put(OpTypeCooperativeMatrixKHR,
        {0, w[1], component, constants[spv::ScopeSubgroup], w[4], w[5], constants[use - MatrixLeft]});
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
      integers.insert(w[1]);
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
    case spv::OpTypeCooperativeMatrixNV:
      return matrixType(w);
    case spv::OpFDiv:
      return put(matrices.contains(w[1]) ? +spv::OpFMul : +spv::OpFDiv, w);
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
      if (integers.contains(w[1])) // of signed ones
        w.push_back(MatrixOperandsAllSigned);
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
  std::set<uint32_t> matrices, integers;  // types; matrices of integers are both
  uint32_t brain = 0;                     // type; 0: none yet
};
} // namespace

void useKhrMatrices(std::vector<uint32_t> &words) {
  if (hasCapability(words, spv::CapabilityCooperativeMatrixNV))
    words = Rewriter(words).take();
}

} // namespace kiln::vulkan
