// Plans, expressions and words into the blob.

#include "backends/vulkan/compile/Artifact.h"
#include "backends/vulkan/compile/Glsl.h"
#include <cstddef>
#include <cstring>

namespace kiln::vulkan {

std::vector<uint8_t> packWords(const std::vector<uint32_t> &words) {
  std::vector<uint8_t> bytes;
  auto put = [&](uint32_t word) {
    for (; word > 127; word >>= 7)
      bytes.push_back(static_cast<uint8_t>(word | 128));
    bytes.push_back(static_cast<uint8_t>(word));
  };
  uint32_t left = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i >= 5 && left == 0) {
      uint32_t length = words[i] >> 16, op = words[i] & 0xffff;
      put(op << 4 | (length < 15 ? length : 15));
      if (length >= 15)
        put(length);
      left = length - 1;
    } else {
      left -= i >= 5;
      put(words[i]);
    }
  }
  return bytes;
}

static_assert(static_cast<uint32_t>(Number::Step::Constant) == KILN_VK_CONST &&
              static_cast<uint32_t>(Number::Step::Extent) == KILN_VK_EXTENT &&
              static_cast<uint32_t>(Number::Step::Add) == KILN_VK_ADD &&
              static_cast<uint32_t>(Number::Step::Sub) == KILN_VK_SUB &&
              static_cast<uint32_t>(Number::Step::Mul) == KILN_VK_MUL &&
              static_cast<uint32_t>(Number::Step::Div) == KILN_VK_DIV &&
              static_cast<uint32_t>(Number::Step::CeilDiv) == KILN_VK_CEIL_DIV &&
              static_cast<uint32_t>(Number::Step::Min) == KILN_VK_MIN &&
              static_cast<uint32_t>(Number::Step::Max) == KILN_VK_MAX);

kiln_vk_expression ArtifactWriter::expression(const Number &number) {
  std::vector<kiln_vk_step> postfix;
  for (const Number::Step &step : number.steps)
    postfix.push_back({step.kind, 0, step.value});
  std::string key(reinterpret_cast<const char *>(postfix.data()), postfix.size() * sizeof(kiln_vk_step));
  auto [found, isNew] = knownExpressions.try_emplace(key);
  if (isNew) {
    found->second = {static_cast<uint32_t>(steps.size()), static_cast<uint32_t>(postfix.size())};
    steps.insert(steps.end(), postfix.begin(), postfix.end());
  }
  return found->second;
}

uint32_t ArtifactWriter::shader(const std::vector<uint32_t> &spirv) {
  std::vector<uint8_t> packed = packWords(spirv);
  auto [found, isNew] = knownShaders.try_emplace(packed, static_cast<uint32_t>(shaders.size()));
  if (isNew) {
    shaders.push_back({static_cast<uint32_t>(code.size()), static_cast<uint32_t>(packed.size()),
                       static_cast<uint32_t>(spirv.size())});
    code.insert(code.end(), packed.begin(), packed.end());
  }
  return found->second;
}

void ArtifactWriter::dispatch(const Dispatch &plan, uint32_t shaderNumber) {
  kiln_vk_dispatch out{};
  out.shader = shaderNumber;
  out.first_binding = static_cast<uint32_t>(bindings.size());
  out.binding_count = static_cast<uint32_t>(plan.bindings.size());
  for (const Binding &binding : plan.bindings)
    bindings.push_back(
        {binding.kind, binding.number, binding.access, binding.part, binding.output, 0, expression(binding.bytes)});
  out.first_word = static_cast<uint32_t>(words.size());
  out.word_count = static_cast<uint32_t>(plan.words.size());
  for (const Word &word : plan.words)
    words.push_back({word.kind, word.number, expression(word.value)});
  out.first_specialization = static_cast<uint32_t>(specializations.size());
  out.specialization_count = static_cast<uint32_t>(plan.specializations.size());
  specializations.insert(specializations.end(), plan.specializations.begin(), plan.specializations.end());
  std::copy(std::begin(plan.local), std::end(plan.local), out.local);
  out.shared_bytes = plan.sharedBytes;
  out.flags = (plan.batches ? KILN_VK_BATCHES : 0) | (plan.fullSubgroups ? KILN_VK_FULL_SUBGROUPS : 0);
  for (int axis = 0; axis < 3; ++axis)
    out.grid[axis] = expression(plan.grid[axis]);
  out.passes = static_cast<uint64_t>(plan.passes);
  out.stripped_passes = static_cast<uint64_t>(plan.strippedPasses);
  dispatches.push_back(out);
}

bool ArtifactWriter::add(const sdk::Graph &graph, const KernelPlan &plan,
                         const std::vector<const std::vector<uint32_t> *> &spirv, std::string &error) {
  kiln_vk_kernel kernel{};
  kernel.first_operand = static_cast<uint32_t>(operands.size());
  kernel.operand_count = static_cast<uint32_t>(graph.inputs.size() + graph.outputs.size());
  kernel.first_variant = static_cast<uint32_t>(variants.size());
  kernel.variant_count = static_cast<uint32_t>(plan.variants.size());
  kernel.scratch_bytes = static_cast<uint64_t>(plan.scratchBytes);
  auto operand = [&](uint32_t value) {
    const sdk::Type &type = graph.type(value);
    uint32_t size = static_cast<uint32_t>(sdk::byteSize(type.dtype));
    operands.push_back({size, 0, expression(Number::of(type.dims) * Number(size))});
  };
  for (uint32_t value : graph.inputs)
    operand(value);
  for (uint32_t value : graph.outputs)
    operand(value);

  size_t next = 0;
  uint32_t common = ~0u;
  for (const Variant &variant : plan.variants) {
    kiln_vk_variant out{};
    out.features = variant.features;
    out.align = 1;
    out.subgroup_most = variant.subgroupMost;
    out.kind = variant.kind;
    out.first_dispatch = static_cast<uint32_t>(dispatches.size());
    out.dispatch_count = static_cast<uint32_t>(variant.dispatches.size());
    for (const Dispatch &part : variant.dispatches) {
      const std::vector<uint32_t> &module = *spirv[next++];
      uint32_t needed = 0, unknown = 0;
      if (!featuresOf(module, needed, unknown)) {
        error = "a shader of kernel '" + graph.name + "' needs SPIR-V capability " + std::to_string(unknown) +
                ", which the artifact cannot ask of a device";
        return false;
      }
      out.features |= needed;
      dispatch(part, shader(module));
      for (const Binding &binding : part.bindings)
        if (binding.kind == KILN_VK_BIND_OPERAND && binding.output == KILN_VK_NONE) {
          operands[kernel.first_operand + binding.number].access |= binding.access;
        } else if (binding.kind == KILN_VK_BIND_OPERAND) {
          operands[kernel.first_operand + binding.number].access |= binding.access & KILN_VK_READS;
          operands[kernel.first_operand + binding.output].access |= KILN_VK_WRITES;
        }
    }
    common &= out.features;
    variants.push_back(out);
  }
  features |= plan.variants.empty() ? 0 : common;
  kernels.push_back(kernel);
  return true;
}

namespace {
class Blob {
public:
  template <class T> void table(const std::vector<T> &rows, uint32_t &count, uint32_t &offset) {
    align();
    count = static_cast<uint32_t>(rows.size());
    offset = static_cast<uint32_t>(bytes.size());
    append(rows.data(), rows.size() * sizeof(T));
  }
  void append(const void *data, size_t size) {
    const auto *from = static_cast<const uint8_t *>(data);
    bytes.insert(bytes.end(), from, from + size);
  }
  void align() { bytes.resize((bytes.size() + 7) / 8 * 8); }

  std::vector<uint8_t> bytes;
};
} // namespace

std::vector<uint8_t> ArtifactWriter::write() const {
  kiln_vk_artifact header{};
  header.magic = KILN_VK_MAGIC;
  header.version = KILN_VK_ARTIFACT_VERSION;
  header.part_bytes = partBytes;
  header.alignment = alignment;
  header.features = features;
  Blob blob;
  blob.bytes.resize(sizeof header);
  blob.table(kernels, header.kernel_count, header.kernels);
  blob.table(operands, header.operand_count, header.operands);
  blob.table(variants, header.variant_count, header.variants);
  blob.table(dispatches, header.dispatch_count, header.dispatches);
  blob.table(bindings, header.binding_count, header.bindings);
  blob.table(words, header.word_count, header.words);
  blob.table(specializations, header.specialization_count, header.specializations);
  blob.table(steps, header.step_count, header.steps);
  blob.align();
  auto placed = shaders;
  uint32_t codeBegin = static_cast<uint32_t>(blob.bytes.size() + (shaders.size() * sizeof(kiln_vk_shader) + 7) / 8 * 8);
  for (kiln_vk_shader &shader : placed)
    shader.code += codeBegin;
  blob.table(placed, header.shader_count, header.shaders);
  blob.align();
  blob.append(code.data(), code.size());
  blob.align();
  header.bytes = blob.bytes.size();
  std::memcpy(blob.bytes.data(), &header, sizeof header);
  constexpr size_t covered = offsetof(kiln_vk_artifact, checksum) + sizeof header.checksum;
  header.checksum = kiln_vk_checksum(blob.bytes.data() + covered, blob.bytes.size() - covered);
  std::memcpy(blob.bytes.data(), &header, sizeof header);
  return blob.bytes;
}

} // namespace kiln::vulkan
