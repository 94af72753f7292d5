// The method that config.json names, and what becomes of the files' tensors.
//
// A method (QuantisedIntegers.cpp, QuantisedFloats.cpp) finds its matrices among the tensors, and says of each how its
// numbers are read; that is checked before, so that reading them cannot fail. Whether a layer is quantised its tensors
// say: `modules_to_not_convert`, `ignore` and the like are lists of those that are not.
#include "frontend/huggingface/Quantised.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <deque>
#include <set>

namespace kiln::huggingface {

namespace {

float eightBitsToFloat(kiln_dtype dtype, uint8_t bits) {
  if (dtype == KILN_F8E4M3 && (bits & 127) == 127)
    return NAN;
  return codedNumber(codingOf(dtype), bits);
}

constexpr const char *advice = "; where transformers can load it, model.dequantize().save_pretrained(FOLDER) writes "
                               "its weights as floats, which are read";

struct Method {
  const char *name;
  Matrices (*read)(const QuantisedFiles &, std::vector<std::string> &notes);
  const char *sign; ///< what its tensors are known by
};

template <Matrices (*read)(const QuantisedFiles &)>
Matrices quietly(const QuantisedFiles &files, std::vector<std::string> &) {
  return read(files);
}

constexpr Method readers[] = {
    {"gptq", quietly<gptqMatrices>, "NAME.qweight of i32"},
    {"awq", quietly<awqMatrices>, "NAME.qweight of i32"},
    {"fp8", eightBitMatrices, "NAME.weight of F8_E4M3"},
    {"fbgemm_fp8", eightBitMatrices, "NAME.weight of F8_E4M3"},
    {"compressed-tensors", compressedMatrices,
     "NAME.weight_packed, or NAME.weight of I8 or F8_E4M3 with "
     "NAME.weight_scale"},
    {"bitsandbytes", quietly<bitsandbytesMatrices>,
     "NAME.weight of U8 with NAME.weight.absmax, or of I8 with NAME.SCB"},
    {"mlx", quietly<mlxMatrices>, "NAME.weight of U32 with NAME.scales"},
    {"modelopt", modeloptMatrices, "NAME.weight of U8 with NAME.weight_scale and NAME.weight_scale_2"},
    {"mxfp4", quietly<mxfp4Matrices>, "NAME_blocks of U8 with NAME_scales"},
};

/// By the key that a method's config has where it names none.
std::string methodOf(const Json &config, const std::string &what) {
  if (const Json *name = config.find("quant_method"); name && name->isString())
    return name->string() == "compressed_tensors" ? "compressed-tensors" : name->string();
  for (const char *key : {"load_in_4bit", "load_in_8bit", "_load_in_4bit", "_load_in_8bit"})
    if (config.find(key))
      return "bitsandbytes";
  if (config.find("w_bit"))
    return "awq";
  if (config.find("config_groups"))
    return "compressed-tensors";
  if (config.find("bits") && config.find("group_size"))
    return config.find("desc_act") ? "gptq" : "mlx";
  fail("%s: 'quantization_config' has no 'quant_method', which says how the weights are quantised", what.c_str());
}

/// What others are, and what to do about them.
struct Unread {
  const char *name, *why;
};
constexpr Unread unread[] = {
    {"hqq", "half-quadratic: numbers whose bytes lie in an order of each width's own, with zero points that are no "
            "whole numbers"},
    {"quanto", "numbers of 2, 4 or 8 bits as tensors of its own class"},
    {"torchao", "tensors of classes of its own, most of them in pickles, which are never read"},
    {"aqlm", "sums of vectors out of code books"},
    {"vptq", "vectors out of code books"},
    {"higgs", "vectors of a grid, behind a Hadamard transform"},
    {"spqr", "numbers beside a sparse matrix of outliers"},
    {"bitnet", "three values in two bits"},
    {"eetq", "bytes in an order of a kernel's own"},
    {"fp_quant", "floats of four bits behind a Hadamard transform"},
    {"auto-round", "AutoRound's own files; its writer has format=\"auto_gptq\" and \"auto_awq\", which are read"},
};

const Method &methodCalled(const std::string &name, const std::string &what) {
  std::string known;
  for (const Method &method : readers) {
    if (name == method.name)
      return method;
    known += (known.empty() ? "" : ", ") + std::string(method.name);
  }
  const auto *of =
      std::find_if(std::begin(unread), std::end(unread), [&](const Unread &one) { return name == one.name; });
  fail("%s: the weights are quantised by %s ('quant_method'%s%s), which is not read; those that are: %s%s",
       what.c_str(), jsonQuote(name.substr(0, 60)).c_str(), of == std::end(unread) ? "" : ": ",
       of == std::end(unread) ? "" : of->why, known.c_str(), advice);
}

/// Tensors that only a quantised model has.
const char *signOf(const TensorView &tensor, const Safetensors &files) {
  std::string stem = tensor.name.substr(0, tensor.name.rfind('.'));
  if (tensor.name.ends_with(".qweight"))
    return "GPTQ's or AWQ's";
  if (tensor.name.ends_with(".weight_packed"))
    return "of compressed-tensors";
  if (tensor.name.find(".quant_state.bitsandbytes") != std::string::npos || tensor.name.ends_with(".SCB"))
    return "of bitsandbytes";
  if (tensor.name.ends_with(".weight") && tensor.dtype == KILN_U32 && files.find(stem + ".scales"))
    return "MLX's";
  if (tensor.name.ends_with(".weight") &&
      (files.find(tensor.name + "_scale") || files.find(tensor.name + "_scale_inv")))
    return isEightBits(tensor.dtype) || tensor.dtype == KILN_I8 ? "a number of eight bits with scales" : nullptr;
  return nullptr;
}

/// Without a word in config.json: floats of eight bits alone, each of which is a number that f32 has.
Matrices plainMatrices(const Safetensors &files, const std::string &what) {
  Matrices found;
  for (const TensorView &tensor : files.tensors()) {
    if (const char *sign = signOf(tensor, files))
      fail("%s: the tensor '%s' is quantised (it is %s), and no 'quantization_config' says how; the folder's own "
           "config.json has one, or, of older ones, quantize_config.json or quant_config.json is what to put there",
           what.c_str(), tensor.name.c_str(), sign);
    if (!isEightBits(tensor.dtype))
      continue;
    QuantisedMatrix matrix;
    matrix.name = tensor.name;
    matrix.rows = tensor.shape.empty() ? 1 : tensor.shape[0];
    matrix.width = matrix.rows ? static_cast<int64_t>(tensor.bytes) / matrix.rows : 0;
    matrix.parts = {tensor.name};
    if (tensor.shape.size() == 2 && codeEightBits(tensor, matrix)) {
      matrix.group = matrix.width;
      matrix.groups = [](int64_t, Group *groups) { groups[0] = {1, 0, 0}; };
    } else {
      matrix.shape = tensor.shape;
      matrix.widen = [tensor, width = matrix.width](int64_t row, float *elements) {
        for (int64_t i = 0; i < width; ++i)
          elements[i] = numberAt(tensor, row * width + i);
      };
    }
    found.push_back(std::move(matrix));
  }
  return found;
}

/// What a scheme keeps for its own activations and caches, beside the weights.
bool isOfActivations(const std::string &name) {
  for (const char *end : {".input_scale", ".output_scale", ".activation_scale", ".input_scale_ub", ".input_zero_point",
                          ".output_zero_point", ".k_scale", ".v_scale", ".q_scale", ".prob_scale", ".kv_scale",
                          ".weight_format", ".input_global_scale"})
    if (name.ends_with(end))
      return true;
  return false;
}

/// GPT-2's matrices are transposed as published; what quantises them takes them for linear layers.
bool isTransposed(const Settings &settings, const std::string &name) {
  const Json *type = settings.config().find("model_type");
  return type && type->isString() && type->string() == "gpt2" &&
         (name.find(".attn.c_") != std::string::npos || name.find(".mlp.c_") != std::string::npos);
}

/// What tensors are made of when they are read: all of them at once would be many times the files.
struct Made {
  Safetensors files;
  Matrices matrices;
  std::vector<std::optional<BlockForm>> forms; ///< none: widened
  std::vector<bool> columns;

  /// A matrix, or a part of its blocks.
  struct Source final : TensorSource {
    Source(const Made &made, size_t matrix, size_t part) : made(made), matrix(matrix), part(part) {}
    void make(const TensorView &view, uint8_t *to) const override {
      ThreadPool threads(std::min(16U, availableProcessors()));
      const QuantisedMatrix &its = made.matrices[matrix];
      if (!made.forms[matrix])
        return widenTo(its, made.columns[matrix], threads, reinterpret_cast<float *>(to));
      if (made.current != matrix || made.parts.size() <= part) // they are asked for one after another
        made.parts = inBlocks(its, *made.forms[matrix], threads), made.current = matrix;
      std::memcpy(to, made.parts[part].memory.data(), view.bytes);
      if (part + 1 == made.parts.size())
        made.parts.clear();
    }
    const Made &made;
    size_t matrix, part;
  };
  std::deque<Source> sources;
  mutable std::vector<Tensor> parts; ///< of the current matrix
  mutable size_t current = 0;

  void add(TensorView type, size_t matrix, size_t part, std::vector<TensorView> &views) {
    type.source = &sources.emplace_back(*this, matrix, part);
    views.push_back(std::move(type));
  }
};

void tellWidened(size_t widened, size_t all, const std::string &method, bool ordered, std::vector<std::string> &notes) {
  if (widened)
    notes.push_back(
        format("%zu of %zu quantised matrices (%s) are widened to f32, to the bit: no blocks of a program "
               "hold %s; --weights-as bf16, q8 or q4 stores them in less",
               widened, all, method.c_str(),
               ordered ? "groups of columns that are no neighbours and not alike ('desc_act')" : "such numbers"));
}

} // namespace

void QuantisedFiles::bad(const std::string &tensor, const std::string &why) const {
  fail("%s: '%s': %s", what.c_str(), tensor.c_str(), why.c_str());
}

const TensorView &QuantisedFiles::need(const std::string &name) const {
  const TensorView *found = files.find(name);
  if (!found)
    bad(name, "is missing among the tensors, and 'quantization_config' asks for it");
  return *found;
}

void QuantisedFiles::expect(const TensorView &tensor, std::initializer_list<kiln_dtype> types,
                            const std::vector<int64_t> &shape) const {
  if (std::find(types.begin(), types.end(), tensor.dtype) == types.end() || tensor.shape != shape)
    bad(tensor.name, "expected " + typeText(*types.begin(), shape) + ", found " + typeText(tensor.dtype, tensor.shape));
}

const TensorView &QuantisedFiles::need(const std::string &name, std::initializer_list<kiln_dtype> types,
                                       const std::vector<int64_t> &shape) const {
  const TensorView &found = need(name);
  expect(found, types, shape);
  return found;
}

void QuantisedFiles::expectMatrix(const TensorView &tensor, std::initializer_list<kiln_dtype> types) const {
  bool right = std::find(types.begin(), types.end(), tensor.dtype) != types.end() && tensor.shape.size() == 2 &&
               tensor.shape[0] > 0 && tensor.shape[1] > 0;
  if (!right)
    bad(tensor.name,
        "expected a matrix of " + typeText(*types.begin()) + ", found " + typeText(tensor.dtype, tensor.shape));
}

int64_t QuantisedFiles::groupOf(const std::string &tensor, int64_t size, int64_t width) const {
  if (size == -1)
    return width;
  if (size < 1 || width % size)
    bad(tensor, format("rows of %lld are no whole groups of %lld ('group_size')", static_cast<long long>(width),
                       static_cast<long long>(size)));
  return size;
}

float numberAt(const TensorView &tensor, int64_t i) {
  return isEightBits(tensor.dtype) ? eightBitsToFloat(tensor.dtype, tensor.data[i])
                                   : static_cast<float>(loadNumber(tensor.dtype, tensor.data, i));
}

int packedAt(const uint8_t *words, int64_t i, int bits, int64_t apart) {
  int64_t first = i * bits, word = first / 32;
  auto within = static_cast<int>(first % 32);
  auto at = [&](int64_t number) {
    uint32_t value;
    std::memcpy(&value, words + number * apart * 4, 4);
    return value;
  };
  uint32_t value = at(word) >> within;
  if (within + bits > 32)
    value |= at(word + 1) << (32 - within);
  return static_cast<int>(value & ((1U << bits) - 1));
}

RowReader packedRows(const TensorView &words, int bits, int64_t width) {
  return [words, bits, width](int64_t row, uint8_t *numbers) {
    for (int64_t i = 0; i < width; ++i)
      numbers[i] = static_cast<uint8_t>(packedAt(words.data + row * words.shape[1] * 4, i, bits));
  };
}

bool codeEightBits(const TensorView &bytes, QuantisedMatrix &matrix) {
  bool wide = bytes.dtype == KILN_F8E4M3; // whose NaN no code is
  if (wide && std::any_of(bytes.data, bytes.data + bytes.bytes, [](uint8_t byte) { return (byte & 127) == 127; }))
    return false;
  matrix.coding = codingOf(bytes.dtype);
  matrix.numbers = [bytes](int64_t row, uint8_t *numbers) {
    std::memcpy(numbers, bytes.data + row * bytes.shape[1], static_cast<size_t>(bytes.shape[1]));
  };
  return true;
}

RowReader signedRows(const TensorView &bytes) {
  return [bytes](int64_t row, uint8_t *numbers) {
    for (int64_t i = 0, width = bytes.shape[1]; i < width; ++i)
      numbers[i] = static_cast<uint8_t>(bytes.data[row * width + i] ^ 128);
  };
}

std::string typeText(kiln_dtype dtype) {
  return dtype == KILN_F8E4M3 ? "F8_E4M3" : dtype == KILN_F8E5M2 ? "F8_E5M2" : dtypeName(dtype);
}

std::string typeText(kiln_dtype dtype, const std::vector<int64_t> &shape) {
  return typeText(dtype) + describeShape(shape);
}

namespace {

/// What config.json says of the weights; null: nothing.
const Json *configOf(const Settings &settings) {
  const Json *config = settings.config().find("quantization_config");
  config = config ? config : settings.config().find("quantization"); // MLX's
  if (config && !config->isObject())
    fail("%s: '%s' is no object", settings.what().c_str(), config->key().c_str());
  return config;
}

Matrices matricesOf(const Safetensors &files, const Json *config, const std::string &method, const std::string &what,
                    std::vector<std::string> &notes) {
  if (!config)
    return plainMatrices(files, what);
  const Method &known = methodCalled(method, what);
  Matrices matrices = known.read(QuantisedFiles(files, *config, what), notes);
  if (matrices.empty())
    fail("%s: the weights are said to be quantised by %s ('quantization_config'), and no tensor is: %s is expected; "
         "where they are floats, take it out of config.json",
         what.c_str(), known.name, known.sign);
  return matrices;
}

/// The tensors that are no part of a matrix, and are weights.
std::vector<TensorView> othersOf(const Safetensors &files, const Matrices &matrices, bool activations) {
  std::set<std::string> parts;
  for (const QuantisedMatrix &matrix : matrices)
    parts.insert(matrix.parts.begin(), matrix.parts.end());
  std::vector<TensorView> others;
  for (const TensorView &tensor : files.tensors())
    if (!parts.contains(tensor.name) && !(activations && isOfActivations(tensor.name)))
      others.push_back(tensor);
  return others;
}

} // namespace

Safetensors readQuantised(const Settings &settings, Safetensors files, bool keepBlocks, std::vector<std::string> &notes,
                          bool &read) {
  const Json *config = configOf(settings);
  auto made = std::make_shared<Made>();
  made->files = std::move(files);
  std::string method = config ? methodOf(*config, settings.what()) : "floats of eight bits";
  made->matrices = matricesOf(made->files, config, method, settings.what(), notes);
  const Matrices &matrices = made->matrices;
  read = !matrices.empty();
  if (!read)
    return std::move(made->files);
  std::vector<TensorView> views = othersOf(made->files, matrices, config != nullptr);
  std::set<std::string> names;
  for (const TensorView &view : views)
    names.insert(view.name);
  ThreadPool threads(std::min(16U, availableProcessors()));
  size_t wide = 0;
  bool ordered = false;
  for (const QuantisedMatrix &matrix : matrices) {
    if (!names.insert(matrix.name).second)
      fail("%s: '%s' is there twice: as it is, and quantised", settings.what().c_str(), matrix.name.c_str());
    size_t number = made->forms.size(), part = 0;
    bool columns = isTransposed(settings, matrix.name);
    made->columns.push_back(columns);
    made->forms.push_back(keepBlocks ? blocksOf(matrix, columns, threads) : std::nullopt);
    const std::optional<BlockForm> &form = made->forms.back();
    wide += !form;
    ordered |= !form && !matrix.order.empty();
    if (!form) {
      checkScales(matrix, threads);
      made->add(typeWidened(matrix, columns), number, 0, views);
      continue;
    }
    for (TensorView &type : typesInBlocks(matrix, *form))
      made->add(std::move(type), number, part++, views);
  }
  if (keepBlocks)
    tellWidened(wide, matrices.size(), method, ordered, notes);
  return Safetensors::of(std::move(views), made->files.what(), made);
}

} // namespace kiln::huggingface
