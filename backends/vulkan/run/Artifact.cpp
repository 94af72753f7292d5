// The blob read, every number checked against the device and the program.

#include "backends/vulkan/run/Artifact.h"

#include <algorithm>
#include <cstddef>

namespace kiln::vulkan {

namespace {
bool within(uint32_t first, uint32_t count, uint32_t all) { return first <= all && count <= all - first; }
constexpr uint64_t hashedFrom = offsetof(kiln_vk_artifact, checksum) + sizeof(uint64_t);
} // namespace

/// In range, and leaving one value on a stack of the stated depth.
bool Artifact::good(const kiln_vk_expression &expression) const {
  if (!within(expression.first, expression.count, head().step_count))
    return false;
  uint32_t depth = 0;
  for (const kiln_vk_step &step : steps(expression)) {
    if (step.kind <= KILN_VK_EXTENT) {
      if (++depth > KILN_VK_MAX_DEPTH || (step.kind == KILN_VK_EXTENT && (step.value < 0 || step.value > INT32_MAX)))
        return false;
    } else if (step.kind > KILN_VK_MAX || depth-- < 2) {
      return false;
    }
  }
  return depth == 1;
}

std::string Artifact::wrongDispatch(const kiln_vk_dispatch &dispatch) const {
  const kiln_vk_artifact &h = head();
  if (dispatch.shader >= h.shader_count || !within(dispatch.first_binding, dispatch.binding_count, h.binding_count) ||
      !within(dispatch.first_word, dispatch.word_count, h.word_count) ||
      !within(dispatch.first_specialization, dispatch.specialization_count, h.specialization_count))
    return "a dispatch points beyond a table";
  bool buffered = false, whole = true;
  for (const kiln_vk_binding &binding : bindings(dispatch)) {
    whole &= binding.part == KILN_VK_NONE && binding.kind != KILN_VK_BIND_WORDS;
    if (binding.kind > KILN_VK_BIND_WORDS || (binding.access & ~3u) || !binding.access ||
        (binding.kind == KILN_VK_BIND_SCRATCH && !good(binding.bytes)))
      return "a binding of no known kind";
    buffered |= binding.kind == KILN_VK_BIND_WORDS;
  }
  if ((dispatch.flags & ~static_cast<uint32_t>(KILN_VK_BATCHES | KILN_VK_FULL_SUBGROUPS)) ||
      ((dispatch.flags & KILN_VK_BATCHES) &&
       (!whole || dispatch.binding_count > 32 || 2 * dispatch.word_count > KILN_VK_MAX_PUSH_WORDS)))
    return "a dispatch of a kind that is not known";
  if (!buffered && dispatch.word_count > KILN_VK_MAX_PUSH_WORDS)
    return "a dispatch pushes more than 32 words";
  for (const kiln_vk_word &word : words(dispatch))
    if (word.kind == KILN_VK_WORD_BASE
            ? word.number >= dispatch.binding_count || bindings(dispatch)[word.number].kind != KILN_VK_BIND_OPERAND
            : word.kind != KILN_VK_WORD_EXPRESSION || !good(word.value))
      return "a word of no known kind";
  for (const kiln_vk_specialization &each : specializations(dispatch))
    if (each.kind >= KILN_VK_SPECIALIZE_COUNT)
      return "a specialization of no known kind";
  for (const kiln_vk_expression &expression : dispatch.grid)
    if (!good(expression))
      return "a grid that cannot be computed";
  return "";
}

std::string Artifact::wrong() const {
  const kiln_vk_artifact &h = head();
  const uint64_t tables[][3] = {{h.kernels, h.kernel_count, sizeof(kiln_vk_kernel)},
                                {h.operands, h.operand_count, sizeof(kiln_vk_operand)},
                                {h.variants, h.variant_count, sizeof(kiln_vk_variant)},
                                {h.dispatches, h.dispatch_count, sizeof(kiln_vk_dispatch)},
                                {h.bindings, h.binding_count, sizeof(kiln_vk_binding)},
                                {h.words, h.word_count, sizeof(kiln_vk_word)},
                                {h.specializations, h.specialization_count, sizeof(kiln_vk_specialization)},
                                {h.steps, h.step_count, sizeof(kiln_vk_step)},
                                {h.shaders, h.shader_count, sizeof(kiln_vk_shader)}};
  for (auto [offset, count, row] : tables)
    if (offset % 8 || offset + count * row > h.bytes)
      return "a table reaches beyond its end";
  if (h.alignment == 0 || (h.alignment & (h.alignment - 1)) || h.part_bytes == 0)
    return "its alignment is no power of two, or its part_bytes is 0";
  for (const kiln_vk_kernel &kernel : kernels())
    if (kernel.variant_count == 0 || !within(kernel.first_variant, kernel.variant_count, h.variant_count) ||
        !within(kernel.first_operand, kernel.operand_count, h.operand_count))
      return "a kernel without variants or operands";
  for (const kiln_vk_operand &operand : table<kiln_vk_operand>(h.operands, h.operand_count))
    if (operand.element_bytes == 0 || !good(operand.bytes))
      return "an operand whose length cannot be computed";
  for (const kiln_vk_variant &variant : variants())
    if (!within(variant.first_dispatch, variant.dispatch_count, h.dispatch_count) || variant.kind >= KILN_VK_KIND_COUNT)
      return "a variant points beyond the dispatches, or is of no known kind";
  for (const kiln_vk_dispatch &dispatch : dispatches())
    if (std::string message = wrongDispatch(dispatch); !message.empty())
      return message;
  for (const kiln_vk_shader &shader : shaders())
    if (shader.code > h.bytes || shader.code_bytes > h.bytes - shader.code || shader.words < 5 ||
        shader.words > shader.code_bytes)
      return "a shader reaches beyond its end";
  return "";
}

Failure Artifact::read(const void *data, uint64_t bytes) {
  blob = static_cast<const uint8_t *>(data);
  std::string message;
  if (!data || bytes < sizeof(kiln_vk_artifact))
    message = "it is too short to be one";
  else if (reinterpret_cast<uintptr_t>(data) % 8)
    message = "it does not lie at a multiple of 8";
  else if (head().magic != KILN_VK_MAGIC)
    message = "it is none";
  else if (head().version != KILN_VK_ARTIFACT_VERSION)
    message = format("its version is %u, this program's is %u: build it again", head().version,
                     static_cast<unsigned>(KILN_VK_ARTIFACT_VERSION));
  else if (head().bytes != bytes)
    message = format("it says that it has %llu bytes, and has %llu", static_cast<unsigned long long>(head().bytes),
                     static_cast<unsigned long long>(bytes));
  else if (kiln_vk_checksum(blob + hashedFrom, bytes - hashedFrom) != head().checksum)
    message = "its checksum does not match: the file is damaged";
  else
    message = wrong();
  if (message.empty())
    return {};
  return {KILN_ERROR_INVALID, "the Vulkan artifact cannot be read: " + message};
}

bool Artifact::fits(const kiln_vk_kernel &kernel, uint32_t places, uint32_t extents) const {
  auto fine = [&](const kiln_vk_expression &expression) {
    return std::all_of(steps(expression).begin(), steps(expression).end(), [&](const kiln_vk_step &step) {
      return step.kind != KILN_VK_EXTENT || step.value < static_cast<int64_t>(extents);
    });
  };
  if (kernel.operand_count != places)
    return false;
  for (const kiln_vk_operand &operand : operands(kernel))
    if (!fine(operand.bytes))
      return false;
  for (const kiln_vk_variant &variant : variants().subspan(kernel.first_variant, kernel.variant_count))
    for (const kiln_vk_dispatch &dispatch : dispatches(variant)) {
      for (const kiln_vk_binding &binding : bindings(dispatch))
        if (binding.kind == KILN_VK_BIND_OPERAND
                ? binding.number >= places || (binding.output >= places && binding.output != KILN_VK_NONE)
                : binding.kind == KILN_VK_BIND_SCRATCH && !fine(binding.bytes))
          return false;
      for (const kiln_vk_word &word : words(dispatch))
        if (word.kind == KILN_VK_WORD_EXPRESSION && !fine(word.value))
          return false;
      for (const kiln_vk_expression &expression : dispatch.grid)
        if (!fine(expression))
          return false;
    }
  return true;
}

namespace {
bool apply(uint32_t kind, int64_t a, int64_t b, int64_t &result) {
  switch (kind) {
  case KILN_VK_ADD:
    return !__builtin_add_overflow(a, b, &result);
  case KILN_VK_SUB:
    return !__builtin_sub_overflow(a, b, &result);
  case KILN_VK_MUL:
    return !__builtin_mul_overflow(a, b, &result);
  case KILN_VK_MIN:
    result = std::min(a, b);
    return true;
  case KILN_VK_MAX:
    result = std::max(a, b);
    return true;
  default: // DIV, CEIL_DIV
    if (b == 0 || (a == INT64_MIN && b == -1))
      return false;
    result = a / b;
    if (int64_t rest = a % b; rest != 0) {
      bool below = (rest < 0) != (b < 0); // the quotient was rounded up
      result += kind == KILN_VK_DIV ? -static_cast<int64_t>(below) : static_cast<int64_t>(!below);
    }
    return true;
  }
}
} // namespace

bool evaluate(std::span<const kiln_vk_step> steps, std::span<const int64_t> extents, int64_t &value) {
  int64_t stack[KILN_VK_MAX_DEPTH] = {};
  size_t depth = 0;
  for (const kiln_vk_step &step : steps) {
    if (step.kind == KILN_VK_CONST) {
      stack[depth++] = step.value;
    } else if (step.kind == KILN_VK_EXTENT) {
      stack[depth++] = extents[static_cast<size_t>(step.value)];
    } else {
      --depth;
      if (!apply(step.kind, stack[depth - 1], stack[depth], stack[depth - 1]))
        return false;
    }
  }
  value = stack[0];
  return true;
}

std::string featureNames(uint32_t mask) {
  std::string names;
  for (uint32_t bit = 0; bit < 32; ++bit)
    if (mask >> bit & 1)
      names += (names.empty() ? "" : ", ") + std::string(kiln_vk_feature_name(bit));
  return names;
}

} // namespace kiln::vulkan
