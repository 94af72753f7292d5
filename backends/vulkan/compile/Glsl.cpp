// glslang called, and what is changed in its words: strict arithmetic, arrays of buffers.

#include "backends/vulkan/compile/Glsl.h"
#include "backends/vulkan/artifact.h"
#include "backends/vulkan/compile/MatrixWords.h"
#include "backends/vulkan/compile/SpirvWords.h"
#include <algorithm>
#include <glslang/Public/ResourceLimits.h>
#include <glslang/Public/ShaderLang.h>
#include <glslang/SPIRV/GlslangToSpv.h>
#include <mutex>
#include <spirv-tools/libspirv.hpp>
#include <sstream>
#include <string_view>

namespace kiln::vulkan {

namespace {
/// The source's line that a message "ERROR: 0:12: ..." is about.
std::string lineOf(const std::string &source, const std::string &message) {
  size_t at = message.find("ERROR: 0:");
  if (at == std::string::npos)
    return {};
  long number = std::strtol(message.c_str() + at + 9, nullptr, 10);
  std::istringstream lines(source);
  std::string line;
  while (number-- > 0 && std::getline(lines, line))
    ;
  return line;
}

bool isFloatArithmetic(uint32_t op) {
  return op == spv::OpFNegate || op == spv::OpFAdd || op == spv::OpFSub || op == spv::OpFMul || op == spv::OpFDiv ||
         op == spv::OpFRem || op == spv::OpFMod || op == spv::OpVectorTimesScalar;
}

void insert(std::vector<uint32_t> &words, size_t at, const std::vector<uint32_t> &more) {
  words.insert(words.begin() + std::ptrdiff_t(at), more.begin(), more.end());
}

/// A driver may take NaN, infinities and -0 for impossible unless a module says that it means them, and may reorder
/// sums (which undoes what compensates for rounding) unless each instruction forbids it: strict f32 says both. Glslang
/// has no word for the first; for the second it has `precise`, on each variable. The fast mode forbids it in functions
/// alone, some of which compute what rounding took.
void makeStrict(std::vector<uint32_t> &words, bool fast) {
  uint32_t entry = 0, function = 0;
  size_t capabilities = spirvHeaderWords, modes = 0, decorations = 0;
  std::vector<uint32_t> executionModes, exact;
  forEachInstruction(words, [&](uint32_t op, size_t at, uint32_t length) {
    if (op == spv::OpCapability)
      capabilities = at + length;
    else if (op == spv::OpEntryPoint)
      entry = words[at + 2], modes = std::max(modes, at + length);
    else if (op == spv::OpExecutionMode)
      modes = at + length;
    else if (op == spv::OpDecorate || op == spv::OpMemberDecorate)
      decorations = at + length;
    else if (op == spv::OpTypeFloat && length == 3) // not bf16
      executionModes.insert(executionModes.end(), {4u << 16 | spv::OpExecutionMode, entry,
                                                   spv::ExecutionModeSignedZeroInfNanPreserve, words[at + 2]});
    else if (op == spv::OpFunction)
      function = words[at + 2];
    else if (isFloatArithmetic(op) && !(fast && function == entry))
      exact.insert(exact.end(), {3u << 16 | spv::OpDecorate, words[at + 2], spv::DecorationNoContraction});
  });
  if (executionModes.empty())
    return;
  // From the end to the beginning, so that the places found stay right.
  insert(words, decorations ? decorations : modes, exact);
  insert(words, modes, executionModes);
  insert(words, capabilities, {2u << 16 | spv::OpCapability, spv::CapabilitySignedZeroInfNanPreserve});
}

/// Arrays of buffers are indexed by the launch, which glslang takes to need no capability.
void sayArrays(std::vector<uint32_t> &words) {
  bool arrays = false;
  forEachInstruction(words, [&](uint32_t op, size_t at, uint32_t length) {
    arrays |= op == spv::OpDecorate && length == 4 && words[at + 2] == spv::DecorationSpecId &&
              words[at + 3] >= KILN_VK_BUFFERS;
  });
  if (arrays)
    insert(words, spirvHeaderWords, {2u << 16 | spv::OpCapability, spv::CapabilityStorageBufferArrayDynamicIndexing});
}
} // namespace

bool compileGlsl(const std::string &source, bool fast, std::vector<uint32_t> &words, std::string &error) {
  static std::once_flag once;
  std::call_once(once, [] { glslang::InitializeProcess(); });
  glslang::TShader shader(EShLangCompute);
  const char *text = source.c_str();
  shader.setStrings(&text, 1);
  shader.setEnvInput(glslang::EShSourceGlsl, EShLangCompute, glslang::EShClientVulkan, 100);
  shader.setEnvClient(glslang::EShClientVulkan, glslang::EShTargetVulkan_1_2);
  shader.setEnvTarget(glslang::EShTargetSpv, glslang::EShTargetSpv_1_5);
  if (!shader.parse(GetDefaultResources(), 460, false, EShMsgDefault)) {
    error = std::string(shader.getInfoLog()) + "in: " + lineOf(source, shader.getInfoLog());
    return false;
  }
  glslang::TProgram program;
  program.addShader(&shader);
  if (!program.link(EShMsgDefault)) {
    error = program.getInfoLog();
    return false;
  }
  glslang::SpvOptions options;
  options.disableOptimizer = true;
  options.stripDebugInfo = true;
  words.clear();
  glslang::GlslangToSpv(*program.getIntermediate(EShLangCompute), words, &options);
  if (words.size() <= spirvHeaderWords) {
    error = "glslang gave no code";
    return false;
  }
  useKhrMatrices(words);
  makeStrict(words, fast);
  sayArrays(words);
  return true;
}

bool featuresOf(const std::vector<uint32_t> &words, uint32_t &features, uint32_t &unknown) {
  features = 0;
  bool known = true;
  uint32_t widths = 0;
  bool special = false;
  forEachInstruction(words, [&](uint32_t op, size_t at, uint32_t length) {
    if (op == spv::OpTypeFloat && length == 3)
      widths |= words[at + 2];
    if (op != spv::OpCapability)
      return;
    switch (words[at + 1]) {
    case spv::CapabilityShader:
    case spv::CapabilityGroupNonUniform: // of all that 1.2 devices have in compute shaders
      break;
    case spv::CapabilityFloat16:
      features |= KILN_VK_F16;
      break;
    case spv::CapabilityFloat64:
      features |= KILN_VK_F64;
      break;
    case spv::CapabilityInt64:
      features |= KILN_VK_I64;
      break;
    case spv::CapabilityInt16:
      features |= KILN_VK_I16;
      break;
    case spv::CapabilityStorageBufferArrayDynamicIndexing:
      features |= KILN_VK_BUFFER_ARRAYS;
      break;
    case spv::CapabilityInt8:
      features |= KILN_VK_I8;
      break;
    case spv::CapabilityGroupNonUniformArithmetic:
      features |= KILN_VK_SUBGROUP_ARITHMETIC;
      break;
    case spv::CapabilityStorageBuffer16BitAccess:
      features |= KILN_VK_STORAGE16;
      break;
    case spv::CapabilityStorageBuffer8BitAccess:
      features |= KILN_VK_STORAGE8;
      break;
    case spv::CapabilitySignedZeroInfNanPreserve:
      special = true;
      break;
    case spv::CapabilityVulkanMemoryModel:
    case spv::CapabilityVulkanMemoryModelDeviceScope: // no shader without matrices has the two
    case CapabilityCooperativeMatrixKHR:
      features |= KILN_VK_COOPERATIVE_MATRIX;
      break;
    case CapabilityBFloat16TypeKHR:
    case CapabilityBFloat16CooperativeMatrixKHR:
      features |= KILN_VK_MATRIX_BF16;
      break;
    default:
      known = false;
      unknown = words[at + 1];
    }
  });
  if (special)
    features |=
        (widths & 16 ? KILN_VK_NAN16 : 0) | (widths & 32 ? KILN_VK_NAN32 : 0) | (widths & 64 ? KILN_VK_NAN64 : 0);
  return known;
}

std::string disassemble(const std::vector<uint32_t> &words) {
  std::string text;
  if (spvtools::SpirvTools(SPV_ENV_VULKAN_1_2).Disassemble(words, &text, SPV_BINARY_TO_TEXT_OPTION_INDENT))
    return text;
  text = "; this build's SPIRV-Tools do not know all of this module (SPV_KHR_cooperative_matrix): its words\n";
  for (uint32_t word : words)
    text += std::to_string(word) + "\n";
  return text;
}

} // namespace kiln::vulkan
