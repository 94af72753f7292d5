// Buffers, loads, stores and the head of a shader.

#include "backends/vulkan/compile/Shader.h"
#include <algorithm>

namespace kiln::vulkan {

using sdk::byteSize;

//===-- Places ----------------------------------------------------------------------------------------------------===//

kiln_dtype Shader::dtypeOf(uint32_t place) const {
  size_t inputs = graph.inputs.size(), outputs = graph.outputs.size();
  if (place < inputs)
    return graph.type(graph.inputs[place]).dtype;
  if (place < inputs + outputs)
    return graph.type(graph.outputs[place - inputs]).dtype;
  return scratch[place - inputs - outputs].dtype;
}

uint32_t Shader::home(uint32_t place) const {
  int32_t input = place < settings.home.size() ? settings.home[place] : -1;
  return input >= 0 && dtypeOf(static_cast<uint32_t>(input)) == dtypeOf(place) ? static_cast<uint32_t>(input) : place;
}

Shader::Place &Shader::use(uint32_t asked, kiln_dtype dtype, uint32_t access) {
  uint32_t number = home(asked);
  Place &place = places[number];
  if (place.bindings.empty()) {
    size_t inputs = graph.inputs.size(), outputs = graph.outputs.size();
    place.dtype = dtype;
    bool isScratch = number >= inputs + outputs;
    if (isScratch) {
      const ScratchArray &array = scratch[number - inputs - outputs];
      Number bytes = array.elements * Number(byteSize(dtype));
      place.bytes = static_cast<uint64_t>(bytes.at(graph.extentBounds));
      place.bindings.push_back(dispatch.bindings.size());
      dispatch.bindings.push_back(
          {KILN_VK_BIND_SCRATCH, static_cast<uint32_t>(array.offset), 0, KILN_VK_NONE, bytes, KILN_VK_NONE});
    } else {
      uint32_t value = number < inputs ? graph.inputs[number] : graph.outputs[number - inputs];
      place.bytes = static_cast<uint64_t>(graph.byteBound(value));
      // A place that does not begin where it is bound reaches a little further than its own length.
      bool aligned = number < settings.aligned.size() && settings.aligned[number];
      uint64_t reach = place.bytes + (aligned ? 0 : 256);
      uint64_t parts =
          settings.partBytes && reach > settings.partBytes ? (reach + settings.partBytes - 1) / settings.partBytes : 1;
      for (uint64_t part = 0; part < parts; ++part) {
        place.bindings.push_back(dispatch.bindings.size());
        dispatch.bindings.push_back({KILN_VK_BIND_OPERAND,
                                     number,
                                     0,
                                     parts > 1 ? static_cast<uint32_t>(part) : KILN_VK_NONE,
                                     {},
                                     KILN_VK_NONE});
      }
      if (!aligned) {
        place.baseWord = dispatch.words.size();
        dispatch.words.push_back({KILN_VK_WORD_BASE, static_cast<uint32_t>(place.bindings.front()), {}});
      }
    }
  }
  place.access |= access;
  for (size_t binding : place.bindings) {
    dispatch.bindings[binding].access |= access;
    if (asked != number)
      dispatch.bindings[binding].output = asked;
  }
  return place;
}

static std::string blockName(uint32_t number) { return "b" + std::to_string(number); }

std::string Shader::reference(uint32_t number, Place &place, const std::string &index) {
  place.scalars = true;
  std::string at = place.baseWord == SIZE_MAX ? index : index + " + w.w" + std::to_string(place.baseWord);
  return blockName(home(number)) + ".d[" + at + "]";
}

/// What a narrow element is while it is a function's: 8 and 16 bits are for memory alone. Empty where it is itself.
static std::string passedAs(kiln_dtype dtype) { return byteSize(dtype) >= 4 ? "" : dtype == KILN_I8 ? "int" : "uint"; }

std::string Shader::load(uint32_t number, kiln_dtype dtype, const std::string &index) {
  Place &place = use(number, dtype, KILN_VK_READS);
  if (place.bindings.size() == 1)
    return reference(number, place, index);
  place.scalars = true;
  std::string at = place.baseWord == SIZE_MAX ? index : index + " + w.w" + std::to_string(place.baseWord);
  return "load" + std::to_string(home(number)) + "(" + at + ")";
}

std::string Shader::store(uint32_t number, kiln_dtype dtype, const std::string &index, const std::string &value) {
  Place &place = use(number, dtype, KILN_VK_WRITES);
  if (place.bindings.size() == 1)
    return reference(number, place, index) + " = " + value + ";";
  place.scalars = true;
  std::string at = place.baseWord == SIZE_MAX ? index : index + " + w.w" + std::to_string(place.baseWord);
  std::string type = passedAs(dtype);
  return "store" + std::to_string(home(number)) + "(" + at + ", " + (type.empty() ? value : type + "(" + value + ")") +
         ");";
}

bool Shader::canLoadVectors(uint32_t number, kiln_dtype dtype) const {
  if (dtypeOf(number) != dtype || number >= settings.aligned.size() || !settings.aligned[number])
    return false;
  uint32_t value = number < graph.inputs.size() ? graph.inputs[number] : graph.outputs[number - graph.inputs.size()];
  return settings.partBytes == 0 || static_cast<uint64_t>(graph.byteBound(value)) <= settings.partBytes;
}

std::string Shader::loadVector(uint32_t number, const std::string &index) {
  Place &place = use(number, dtypeOf(number), KILN_VK_READS);
  place.vectors = true;
  return blockName(home(number)) + "v.d[" + index + "]";
}

//===-- Extents and the status record -----------------------------------------------------------------------------===//

std::string Shader::extent(int32_t slot) { return word(Number(kiln_extent{0, slot})); }

std::string Shader::word(const Number &number) {
  if (std::optional<int64_t> constant = number.constant())
    return std::to_string(*constant);
  std::string key;
  for (const Number::Step &step : number.steps)
    key += std::to_string(step.kind) + ":" + std::to_string(step.value) + " ";
  auto [found, isNew] = extents.emplace(key, dispatch.words.size());
  if (isNew)
    dispatch.words.push_back({KILN_VK_WORD_EXPRESSION, 0, number});
  return "w.w" + std::to_string(found->second);
}

std::string Shader::report(kiln_status_kind kind, uint32_t op, const std::string &condition, const std::string &value,
                           const std::string &limit) {
  if (statusBinding == SIZE_MAX) {
    statusBinding = dispatch.bindings.size();
    dispatch.bindings.push_back(
        {KILN_VK_BIND_STATUS, 0, KILN_VK_READS | KILN_VK_WRITES, KILN_VK_NONE, {}, KILN_VK_NONE});
  }
  return "if (" + condition + ") report(" + std::to_string(static_cast<int>(kind)) + "u, " + std::to_string(op) +
         "u, int(" + value + "), int((" + value + ") >> 31 >> 1), int(" + limit +
         "));"; // the value's words, whatever its width
}

//===-- Workgroups ------------------------------------------------------------------------------------------------===//

std::string Shader::shared(const std::string &type, int64_t elements, uint32_t elementBytes) {
  std::string name = "s" + std::to_string(globals.size());
  globals.push_back(sdk::Language::GLSL.shared + type + " " + name + "[" + std::to_string(elements) + "];\n");
  dispatch.sharedBytes += static_cast<uint32_t>(elements) * elementBytes;
  return name;
}

void Shader::local(uint32_t x, uint32_t y) {
  dispatch.local[0] = x;
  dispatch.local[1] = y;
}

void Shader::subgroups(uint32_t count) {
  dispatch.fullSubgroups = true;
  dispatch.specializations.push_back({0, KILN_VK_SPECIALIZE_SUBGROUP_SIZE, 0});
  local(mostLanes, count);
  extensions.insert("GL_KHR_shader_subgroup_basic");
}

std::string Shader::specialize(uint32_t kind, int32_t otherwise) {
  uint32_t id = static_cast<uint32_t>(dispatch.specializations.size()) + 1;
  std::string name = "c" + std::to_string(id) + "_";
  dispatch.specializations.push_back({id, kind, 0});
  globals.push_back("layout(constant_id = " + std::to_string(id) + ") const int " + name + " = " +
                    std::to_string(otherwise) + ";\n");
  return name;
}

void Shader::useMatrices() {
  extensions.insert({"GL_NV_cooperative_matrix", "GL_NV_integer_cooperative_matrix", "GL_KHR_memory_scope_semantics",
                     "GL_EXT_shader_explicit_arithmetic_types_float16", "GL_EXT_control_flow_attributes"});
  pragmas = "#pragma use_vulkan_memory_model\n"
            "// A matrix's scope, 100 to 102, stands for its part in the product: left, right, sum (MatrixWords.h).\n";
}

void Shader::grid(const Number &groups) {
  dispatch.grid[0] = min(groups, mostGroups);
  dispatch.grid[1] = ceilDiv(groups, mostGroups);
  folded = groups.at(graph.extentBounds) > mostGroups;
  folding = "  const int group = int(gl_WorkGroupID.x)";
  folding += folded ? " + " + std::to_string(mostGroups) + " * int(gl_WorkGroupID.y);\n" : ";\n";
  folding += "  const int layer = int(gl_WorkGroupID.z);\n";
}

//===-- Text ------------------------------------------------------------------------------------------------------===//

bool Shader::canBatch() const {
  constexpr size_t mostBindings = 32; // a mask of theirs has so many bits
  // Words of two launches at least are pushed. What is split into parts is too big to be one of many.
  return settings.launches > 1 && !folded && dispatch.bindings.size() <= mostBindings &&
         2 * dispatch.words.size() <= KILN_VK_MAX_PUSH_WORDS &&
         std::all_of(places.begin(), places.end(), [](const auto &entry) { return entry.second.bindings.size() == 1; });
}

static std::string buffersOf(size_t binding) { return "n" + std::to_string(binding); }

/// A storage buffer, or where there may be one for each launch, an array of them with a macro for this launch's.
std::string Shader::block(const std::string &name, size_t binding, bool reads, bool writes,
                          const std::string &content) const {
  std::string qualifier = writes ? reads ? "" : "writeonly " : "readonly ";
  std::string text = "layout(set = 0, binding = " + std::to_string(binding) + ") " + qualifier + "buffer " + name +
                     "_ { " + content + "; } " + name;
  if (!dispatch.batches)
    return text + ";\n";
  return text + "s[" + buffersOf(binding) + "];\n#define " + name + " " + name + "s[m" + std::to_string(binding) +
         "]\n";
}

std::string Shader::declare(uint32_t number, const Place &place, const sdk::Emitter &emitter) const {
  std::string name = blockName(number), type = emitter.storageType(place.dtype), text;
  bool reads = place.access & KILN_VK_READS, writes = place.access & KILN_VK_WRITES;
  if (place.bindings.size() == 1) {
    if (place.scalars)
      text += block(name, place.bindings[0], reads, writes, type + " d[]");
    if (place.vectors)
      text += block(name + "v", place.bindings[0], true, false, place.dtype == KILN_F32 ? "vec4 d[]" : "uvec4 d[]");
    return text;
  }
  // Longer than a binding may be: element i is in part i / size.
  std::string size = std::to_string(static_cast<int64_t>(settings.partBytes) / byteSize(place.dtype));
  std::string loads, stores, passed = passedAs(place.dtype).empty() ? type : passedAs(place.dtype);
  for (size_t part = 0; part < place.bindings.size(); ++part) {
    std::string piece = name + "p" + std::to_string(part), begin = std::to_string(part) + " * " + size;
    text += block(piece, place.bindings[part], reads, writes, type + " d[]");
    std::string condition =
        part + 1 < place.bindings.size() ? "if (i < " + std::to_string(part + 1) + " * " + size + ") " : std::string();
    loads += "  " + condition + "return " + passed + "(" + piece + ".d[i - " + begin + "]);\n";
    stores += "  " + condition + "{ " + piece + ".d[i - " + begin + "] = " + type + "(x); return; }\n";
  }
  std::string suffix = std::to_string(number);
  if (reads)
    text += passed + " load" + suffix + "(int i) {\n" + loads + "}\n";
  if (writes)
    text += "void store" + suffix + "(int i, " + passed + " x) {\n" + stores + "}\n";
  return text;
}

std::string Shader::declareWords() const {
  if (dispatch.words.empty())
    return "";
  std::string fields;
  for (size_t i = 0; i < dispatch.words.size(); ++i)
    fields += "  int w" + std::to_string(i) + ";\n";
  if (dispatch.batches)
    return "struct Words {\n" + fields + "};\nlayout(push_constant) uniform W { Words d[" +
           std::to_string(KILN_VK_MAX_PUSH_WORDS / dispatch.words.size()) + "]; } words;\n";
  if (dispatch.words.size() <= KILN_VK_MAX_PUSH_WORDS)
    return "layout(push_constant) uniform W {\n" + fields + "} w;\n";
  return "layout(set = 0, binding = " + std::to_string(dispatch.bindings.size() - 1) + ") readonly buffer W {\n" +
         fields + "} w;\n";
}

static std::string bufferOfLaunch(size_t binding) {
  return "  const int m" + std::to_string(binding) + " = " + buffersOf(binding) +
         " == 1 ? 0 : int(gl_WorkGroupID.y);\n";
}

/// In main: which of each binding's buffers are this launch's, and its words.
std::string Shader::launchOf() const {
  std::string text;
  if (!dispatch.batches)
    return text;
  for (size_t i = 0; i < dispatch.bindings.size(); ++i)
    text += bufferOfLaunch(i);
  if (!dispatch.words.empty())
    text += "  const Words w = words.d[gl_WorkGroupID.y];\n";
  return text;
}

std::string Shader::declarations(const sdk::Emitter &emitter) const {
  std::string text;
  for (const std::string &line : globals)
    text += line;
  if (dispatch.batches)
    for (size_t i = 0; i < dispatch.bindings.size(); ++i)
      text += "layout(constant_id = " + std::to_string(KILN_VK_BUFFERS + i) + ") const int " + buffersOf(i) + " = 1;\n";
  text += declareWords();
  if (statusBinding != SIZE_MAX)
    text += block("status", statusBinding, true, true, "uint claimed, kind, op, reserved; int value[2], limit[2]") +
            "void report(uint kind, uint op, int low, int high, int limit) {\n" +
            (dispatch.batches ? bufferOfLaunch(statusBinding) : "") +
            "  if (atomicCompSwap(status.claimed, 0u, 1u) != 0u) return;\n"
            "  status.kind = kind; status.op = op;\n"
            "  status.value[0] = low; status.value[1] = high;\n"
            "  status.limit[0] = limit; status.limit[1] = limit >> 31;\n"
            "}\n";
  for (const auto &[number, place] : places)
    text += declare(number, place, emitter);
  return text;
}

/// Extensions by the words that stand in the text: glslang refuses types that are not asked for.
static std::string extensionsFor(const std::string &text) {
  static constexpr struct {
    const char *word, *extension;
  } table[] = {{"int8_t", "GL_EXT_shader_8bit_storage"},
               {"int16_t", "GL_EXT_shader_16bit_storage"},
               {"float16_t", "GL_EXT_shader_16bit_storage"},
               {"shared float16_t", "GL_EXT_shader_explicit_arithmetic_types_float16"},
               {"shared uint16_t", "GL_EXT_shader_explicit_arithmetic_types_int16"},
               {"icoopmatNV<8", "GL_EXT_shader_explicit_arithmetic_types_int8"},
               {"shared int8_t", "GL_EXT_shader_explicit_arithmetic_types_int8"},
               {"int64_t", "GL_EXT_shader_explicit_arithmetic_types_int64"},
               {"i64vec", "GL_EXT_shader_explicit_arithmetic_types_int64"}};
  std::set<std::string> needed;
  for (const auto &entry : table)
    if (text.find(entry.word) != std::string::npos)
      needed.insert(entry.extension);
  std::string lines;
  for (const std::string &extension : needed)
    lines += "#extension " + extension + " : require\n";
  return lines;
}

Dispatch Shader::finish(sdk::Emitter &emitter) {
  std::string body = emitter.take();
  const sdk::LoopPasses &passes = emitter.passes();
  dispatch.passes = passes.plain, dispatch.strippedPasses = passes.stripped;
  if (passes.strip > 1) {
    dispatch.specializations.push_back({KILN_VK_STRIP, KILN_VK_SPECIALIZE_STRIP, static_cast<uint32_t>(passes.strip)});
    globals.push_back("layout(constant_id = " + std::to_string(KILN_VK_STRIP) + ") const int " +
                      emitter.language().strip + " = 1;\n");
  }
  if (dispatch.words.size() > KILN_VK_MAX_PUSH_WORDS)
    dispatch.bindings.push_back({KILN_VK_BIND_WORDS, 0, KILN_VK_READS, KILN_VK_NONE, {}, KILN_VK_NONE});
  dispatch.batches = canBatch();
  std::string text = emitter.functions() + declarations(emitter);
  text += (dispatch.fullSubgroups ? "layout(local_size_x_id = 0"
                                  : "layout(local_size_x = " + std::to_string(dispatch.local[0])) +
          ", local_size_y = " + std::to_string(dispatch.local[1]) + ") in;\n";
  text += "void main() {\n" + launchOf() + folding + body + "}\n";
  if (text.find("unroll]]") != std::string::npos)
    extensions.insert("GL_EXT_control_flow_attributes");
  std::string head = "#version 460\n" + extensionsFor(text);
  for (const std::string &extension : extensions)
    head += "#extension " + extension + " : require\n";
  dispatch.glsl = head + pragmas + text;
  return std::move(dispatch);
}

} // namespace kiln::vulkan
