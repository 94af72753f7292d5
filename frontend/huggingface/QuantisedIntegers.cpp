// GPTQ, AWQ, MLX and compressed-tensors: whole numbers in groups along a row, each with a scale and what stands for
// zero.
//
// Which bit is whose is as the methods' own writers have it: GPTQ packs 32 / bits rows of the transposed matrix into a
// word, AWQ eight neighbours of its columns in the order 0 2 4 6 1 3 5 7, MLX and compressed-tensors neighbours of a
// row.
#include "frontend/huggingface/Quantised.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>

namespace kiln::huggingface {

namespace {

constexpr std::initializer_list<kiln_dtype> wordTypes = {KILN_I32, KILN_U32},
                                            scaleTypes = {KILN_F16, KILN_BF16, KILN_F32};

std::string lowered(std::string text) {
  for (char &c : text)
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return text;
}

/// 'bits' or 'w_bit', one of these.
int bitsOf(const QuantisedFiles &files, std::initializer_list<int> known) {
  const Json *bits = files.config.find("bits") ? files.config.find("bits") : files.config.find("w_bit");
  if (!bits)
    fail("%s: 'quantization_config' has no 'bits'", files.what.c_str());
  std::string names;
  for (int one : known) {
    if (bits->isInt() && bits->integer() == one)
      return one;
    names += (names.empty() ? "" : ", ") + std::to_string(one);
  }
  fail("%s: 'bits' is %s; those that are read: %s", files.what.c_str(), bits->str().substr(0, 60).c_str(),
       names.c_str());
}

int64_t groupSize(const QuantisedFiles &files) {
  const Json *size =
      files.config.find("group_size") ? files.config.find("group_size") : files.config.find("q_group_size");
  if (!size)
    fail("%s: 'quantization_config' has no 'group_size'", files.what.c_str());
  return size->integer(-1, INT32_MAX);
}

/// The tensors that end so, without that end.
std::vector<std::string> stemsOf(const QuantisedFiles &files, std::string_view end) {
  std::vector<std::string> stems;
  for (const TensorView &tensor : files.files.tensors())
    if (tensor.name.ends_with(end))
      stems.push_back(tensor.name.substr(0, tensor.name.size() - end.size()));
  return stems;
}

/// The group of each column, as the file says it; none where that is the order in which they stand.
std::vector<int32_t> orderOf(const QuantisedFiles &files, const TensorView &order, int64_t width, int64_t size,
                             int64_t groups) {
  files.expect(order, {KILN_I32, KILN_I64}, {width});
  std::vector<int32_t> result;
  bool inOrder = true;
  for (int64_t i = 0; i < width; ++i) {
    int64_t group = loadInteger(order.dtype, order.data, i);
    if (group < 0 || group >= groups)
      files.bad(order.name, format("element %lld is %lld, and there are %lld groups", static_cast<long long>(i),
                                   static_cast<long long>(group), static_cast<long long>(groups)));
    inOrder &= group == i / size;
    result.push_back(static_cast<int32_t>(group));
  }
  return inOrder ? std::vector<int32_t>() : result;
}

/// Zero point i of a row of words. `lessOne`: stored as one less than it is. 0 is then all bits, and, as GPTQModel
/// subtracts one from all numbers of a word at once, borrows from the next in its word; three bits, which lie across
/// words, wrap by themselves.
int gptqZeroAt(const uint8_t *words, int64_t i, int bits, bool lessOne) {
  if (!lessOne)
    return packedAt(words, i, bits);
  int most = (1 << bits) - 1;
  if (32 % bits)
    return (packedAt(words, i, bits) + 1) & most;
  uint32_t word;
  std::memcpy(&word, words + i * bits / 32 * 4, 4);
  word += UINT32_MAX / static_cast<uint32_t>(most); // one to each number
  return static_cast<int>(word >> (i * bits % 32)) & most;
}

/// K rows of the file become the columns here: qweight i32[K * bits / 32, N], qzeros i32[groups, N * bits / 32], scales
/// [groups, N]. `lessOne`: so zero points are stored.
QuantisedMatrix gptqMatrix(const QuantisedFiles &files, const std::string &stem, int bits, int64_t size, bool lessOne) {
  const TensorView &weight = files.need(stem + ".qweight"), &scales = files.need(stem + ".scales");
  files.expectMatrix(weight, wordTypes);
  files.expectMatrix(scales, scaleTypes);
  QuantisedMatrix matrix;
  matrix.name = stem + ".weight";
  matrix.parts = {weight.name, scales.name, stem + ".qzeros", stem + ".g_idx"};
  matrix.rows = scales.shape[1];
  matrix.width = weight.shape[0] * 32 / bits;
  matrix.bits = bits;
  matrix.scales = scales.dtype;
  const TensorView *order = files.files.find(stem + ".g_idx");
  if (weight.shape[0] * 32 % bits || weight.shape[1] != matrix.rows)
    files.bad(weight.name,
              format("%s are no numbers of %d bits in columns of %lld", typeText(weight.dtype, weight.shape).c_str(),
                     bits, static_cast<long long>(matrix.rows)));
  matrix.group = files.groupOf(weight.name, size, matrix.width);
  int64_t count = matrix.groupsOfRow(), rows = matrix.rows;
  files.expect(scales, scaleTypes, {count, rows});
  if (rows * bits % 32)
    files.bad(scales.name,
              format("%lld columns are no whole words of %d bits each", static_cast<long long>(rows), bits));
  const TensorView &zeros = files.need(stem + ".qzeros", wordTypes, {count, rows * bits / 32});
  if (order)
    matrix.order = orderOf(files, *order, matrix.width, matrix.group, count);
  else if (files.config.booleanOr("desc_act", false))
    files.need(stem + ".g_idx");
  matrix.numbers = [weight, bits, rows, width = matrix.width](int64_t row, uint8_t *numbers) {
    for (int64_t i = 0; i < width; ++i)
      numbers[i] = static_cast<uint8_t>(packedAt(weight.data + row * 4, i, bits, rows));
  };
  matrix.groups = [zeros, scales, bits, rows, count, lessOne](int64_t row, Group *groups) {
    for (int64_t g = 0; g < count; ++g)
      groups[g] = {numberAt(scales, g * rows + row), 0,
                   gptqZeroAt(zeros.data + g * zeros.shape[1] * 4, row, bits, lessOne)};
  };
  return matrix;
}

} // namespace

Matrices gptqMatrices(const QuantisedFiles &files) {
  std::string form = lowered(files.config.stringOr("checkpoint_format", "gptq"));
  if (files.config.booleanOr("is_marlin_format", false))
    form = "marlin";
  if (form != "gptq" && form != "gptq_v2")
    fail("%s: 'checkpoint_format' is %s, which is a kernel's own order; gptq and gptq_v2 are read", files.what.c_str(),
         jsonQuote(form.substr(0, 60)).c_str());
  if (std::string packed = files.config.stringOr("pack_dtype", "int32"); packed != "int32")
    fail("%s: 'pack_dtype' is %s; int32 is read", files.what.c_str(), jsonQuote(packed.substr(0, 60)).c_str());
  if (const Json *dynamic = files.config.find("dynamic"); dynamic && dynamic->isObject())
    for (const Json &rule : dynamic->object())
      if (!rule.key().starts_with('-')) // which leaves layers as they are
        fail("%s: 'dynamic' gives the layers %s settings of their own, which is not read", files.what.c_str(),
             jsonQuote(rule.key().substr(0, 60)).c_str());
  int bits = bitsOf(files, {2, 3, 4, 8});
  Matrices found;
  // Once a zero point was stored as one less than it is.
  for (const std::string &stem : stemsOf(files, ".qweight"))
    found.push_back(gptqMatrix(files, stem, bits, groupSize(files), form == "gptq"));
  return found;
}

namespace {

/// Where column 8 i + n lies in word i.
constexpr int awqPlaces[8] = {0, 4, 1, 5, 2, 6, 3, 7};

int awqAt(const uint8_t *words, int64_t column) { return packedAt(words, column / 8 * 8 + awqPlaces[column % 8], 4); }

/// qweight i32[K, N / 8], qzeros i32[groups, N / 8], scales [groups, N].
void readGemm(const QuantisedFiles &files, const std::string &stem, QuantisedMatrix &matrix) {
  const TensorView &weight = files.need(stem + ".qweight");
  matrix.width = weight.shape[0], matrix.rows = weight.shape[1] * 8;
  matrix.group = files.groupOf(weight.name, groupSize(files), matrix.width);
  int64_t count = matrix.groupsOfRow(), rows = matrix.rows;
  const TensorView &scales = files.need(stem + ".scales", scaleTypes, {count, rows}),
                   &zeros = files.need(stem + ".qzeros", wordTypes, {count, rows / 8});
  matrix.scales = scales.dtype;
  matrix.numbers = [weight, rows, width = matrix.width](int64_t row, uint8_t *numbers) {
    for (int64_t i = 0; i < width; ++i)
      numbers[i] = static_cast<uint8_t>(awqAt(weight.data + i * rows / 2, row));
  };
  matrix.groups = [zeros, scales, rows, count](int64_t row, Group *groups) {
    for (int64_t g = 0; g < count; ++g)
      groups[g] = {numberAt(scales, g * rows + row), 0, awqAt(zeros.data + g * rows / 2, row)};
  };
}

/// qweight i32[N, K / 8], neighbours in order; scales [N, S] and qzeros i32[N, S / 8] are filled up behind the groups.
void readGemv(const QuantisedFiles &files, const std::string &stem, QuantisedMatrix &matrix) {
  const TensorView &weight = files.need(stem + ".qweight"), &scales = files.need(stem + ".scales");
  matrix.rows = weight.shape[0], matrix.width = weight.shape[1] * 8;
  matrix.group = files.groupOf(weight.name, groupSize(files), matrix.width);
  int64_t count = matrix.groupsOfRow(), room = scales.shape.size() == 2 ? scales.shape[1] : 0;
  if (room < count || room % 8)
    files.bad(scales.name, format("expected a place for %lld groups of each row, found %s",
                                  static_cast<long long>(count), typeText(scales.dtype, scales.shape).c_str()));
  files.expect(scales, scaleTypes, {matrix.rows, room});
  const TensorView &zeros = files.need(stem + ".qzeros", wordTypes, {matrix.rows, room / 8});
  matrix.scales = scales.dtype;
  matrix.numbers = packedRows(weight, 4, matrix.width);
  matrix.groups = [zeros, scales, room, count](int64_t row, Group *groups) {
    for (int64_t g = 0; g < count; ++g)
      groups[g] = {numberAt(scales, row * room + g), 0, packedAt(zeros.data + row * room / 2, g, 4)};
  };
}

} // namespace

Matrices awqMatrices(const QuantisedFiles &files) {
  std::string version = lowered(files.config.stringOr("version", "gemm"));
  if (version != "gemm" && version != "gemv")
    fail("%s: 'version' is %s, which is a kernel's own order; gemm and gemv are read", files.what.c_str(),
         jsonQuote(version.substr(0, 60)).c_str());
  bitsOf(files, {4});
  Matrices found;
  for (const std::string &stem : stemsOf(files, ".qweight")) {
    QuantisedMatrix matrix;
    matrix.name = stem + ".weight";
    matrix.parts = {stem + ".qweight", stem + ".scales", stem + ".qzeros"};
    matrix.bits = 4;
    files.expectMatrix(files.need(stem + ".qweight"), wordTypes);
    (version == "gemm" ? readGemm : readGemv)(files, stem, matrix);
    found.push_back(std::move(matrix));
  }
  return found;
}

/// weight u32[N, K * bits / 32], scales and biases [N, groups]. A layer may have settings of its own, by its name.
Matrices mlxMatrices(const QuantisedFiles &files) {
  if (std::string mode = files.config.stringOr("mode", "affine"); mode != "affine")
    fail("%s: MLX's 'mode' is %s; affine is read", files.what.c_str(), jsonQuote(mode.substr(0, 60)).c_str());
  Matrices found;
  for (const std::string &stem : stemsOf(files, ".scales")) {
    const TensorView *weight = files.files.find(stem + ".weight");
    if (!weight || weight->dtype != KILN_U32)
      files.bad(stem + ".scales", "a 'weight' of u32 is expected beside it");
    files.expectMatrix(*weight, {KILN_U32});
    const Json *own = files.config.find(stem);
    QuantisedFiles its(files.files, own && own->isObject() ? *own : files.config, files.what);
    if (std::string mode = its.config.stringOr("mode", "affine"); mode != "affine")
      files.bad(stem, "MLX's 'mode' is " + jsonQuote(mode.substr(0, 60)) + "; affine is read");
    QuantisedMatrix matrix;
    matrix.name = stem + ".weight";
    matrix.parts = {stem + ".weight", stem + ".scales", stem + ".biases"};
    matrix.bits = bitsOf(its, {2, 3, 4, 5, 6, 8});
    matrix.lifted = true;
    matrix.rows = weight->shape[0];
    int64_t rowWords = weight->shape[1], bits = matrix.bits;
    if (rowWords * 32 % bits)
      files.bad(weight->name,
                format("%s are no numbers of %d bits", typeText(weight->dtype, weight->shape).c_str(), matrix.bits));
    matrix.width = rowWords * 32 / bits;
    matrix.group = its.groupOf(weight->name, groupSize(its), matrix.width);
    int64_t count = matrix.groupsOfRow();
    const TensorView &scales = files.need(stem + ".scales", scaleTypes, {matrix.rows, count}),
                     &biases = files.need(stem + ".biases", scaleTypes, {matrix.rows, count});
    matrix.scales = scales.dtype == biases.dtype ? scales.dtype : KILN_F32;
    matrix.numbers = packedRows(*weight, matrix.bits, matrix.width);
    matrix.groups = [scales, biases, count](int64_t row, Group *groups) {
      for (int64_t g = 0; g < count; ++g)
        groups[g] = {numberAt(scales, row * count + g), numberAt(biases, row * count + g), 0};
    };
    found.push_back(std::move(matrix));
  }
  return found;
}

namespace {

/// What the schemes of 'config_groups' say of weights.
struct Scheme {
  std::vector<int> bits;      ///< of whole numbers
  std::vector<int64_t> block; ///< rows and columns of a scale; empty: none
};

Scheme schemeOf(const QuantisedFiles &files, std::vector<std::string> &notes) {
  static constexpr std::string_view known[] = {"pack-quantized",       "int-quantized",       "naive-quantized",
                                               "float-quantized",      "mixed-precision",     "dense",
                                               "nvfp4-pack-quantized", "mxfp4-pack-quantized"};
  auto check = [&](const Json &config) {
    std::string form = config.stringOr("format", "dense");
    if (std::find(std::begin(known), std::end(known), form) == std::end(known))
      fail("%s: 'format' is %s; those that are read: pack-quantized, int-quantized, naive-quantized, float-quantized, "
           "nvfp4-pack-quantized, mxfp4-pack-quantized",
           files.what.c_str(), jsonQuote(form.substr(0, 60)).c_str());
  };
  check(files.config);
  if (const Json *sparse = files.config.find("sparsity_config");
      sparse && sparse->isObject() && sparse->stringOr("format", "dense") != "dense")
    fail("%s: 'sparsity_config': the format %s is not read", files.what.c_str(),
         jsonQuote(sparse->stringOr("format", "").substr(0, 60)).c_str());
  Scheme scheme;
  bool rounds = false;
  const Json *groups = files.config.find("config_groups");
  for (const Json &group : groups && groups->isObject() ? groups->object() : std::vector<Json>()) {
    const Json *weights = group.isObject() ? group.find("weights") : nullptr;
    if (!weights || !weights->isObject())
      continue;
    check(group.find("format") ? group : files.config);
    rounds |= group.find("input_activations") != nullptr;
    if (const Json *bits = weights->find("num_bits");
        bits && bits->isInt() && bits->integer() > 0 && bits->integer() < 9)
      scheme.bits.push_back(static_cast<int>(bits->integer()));
    if (const Json *block = weights->find("block_structure"); block && block->isArray() && block->array().size() == 2)
      for (const Json &side : scheme.block.empty() ? block->array() : std::vector<Json>())
        scheme.block.push_back(side.integer(1, INT32_MAX));
  }
  if (rounds)
    notes.emplace_back("the method rounds what is multiplied with its weights ('input_activations'), which programs do "
                       "not");
  return scheme;
}

/// One for a matrix, for each row, or for each group of a row: [1], [N], [N, 1] or [N, groups]. Gives how many of a row
/// there are, and how far those of a row are apart.
std::pair<int64_t, int64_t> spread(const QuantisedFiles &files, const TensorView &scales, int64_t rows, int64_t width) {
  std::vector<int64_t> shape = scales.shape;
  int64_t all = countElements(shape).value_or(0);
  bool typed = std::find(scaleTypes.begin(), scaleTypes.end(), scales.dtype) != scaleTypes.end();
  if (typed && all == 1)
    return {1, 0};
  if (typed && (shape == std::vector<int64_t>{rows} || shape == std::vector<int64_t>{rows, 1}))
    return {1, 1};
  if (!typed || shape.size() != 2 || shape[0] != rows || shape[1] < 1 || width % shape[1])
    files.bad(scales.name, format("%s are no scales of a matrix [%lld, %lld]: one for all, for a row, or for groups of "
                                  "a row that are alike",
                                  typeText(scales.dtype, shape).c_str(), static_cast<long long>(rows),
                                  static_cast<long long>(width)));
  return {shape[1], shape[1]};
}

/// Scales and zero points beside a matrix whose rows, width, bits and parts are known.
void readCompressedGroups(const QuantisedFiles &files, const std::string &stem, QuantisedMatrix &matrix, bool packed) {
  const TensorView &scales = files.need(stem + ".weight_scale");
  auto [count, apart] = spread(files, scales, matrix.rows, matrix.width);
  matrix.group = matrix.width / count;
  matrix.scales = scales.dtype;
  matrix.parts.insert(matrix.parts.end(), {scales.name, stem + ".weight_zero_point", stem + ".weight_g_idx"});
  const TensorView *zeros = files.files.find(stem + ".weight_zero_point");
  int bits = matrix.bits, middle = 1 << (bits - 1);
  bool inWords = zeros && packed && zeros->dtype == KILN_I32;
  if (inWords) // eight rows of a column to a word
    files.expect(*zeros, {KILN_I32}, {(matrix.rows * bits + 31) / 32, count});
  else if (zeros)
    files.expect(*zeros, {KILN_I8}, scales.shape);
  if (const TensorView *order = files.files.find(stem + ".weight_g_idx")) {
    bool unused = order->shape == std::vector<int64_t>{matrix.width} && loadInteger(order->dtype, order->data, 0) == -1;
    if (!unused || !order->bytes)
      matrix.order = orderOf(files, *order, matrix.width, matrix.group, count);
  }
  matrix.groups = [=, scales = scales, zeros = zeros ? *zeros : TensorView(), there = zeros != nullptr, count = count,
                   apart = apart](int64_t row, Group *groups) {
    for (int64_t g = 0; g < count; ++g) {
      int64_t at = row * apart + g;
      int zero = !there    ? middle
                 : inWords ? packedAt(zeros.data + g * 4, row, bits, count)
                           : static_cast<int>(loadInteger(KILN_I8, zeros.data, at)) + middle;
      groups[g] = {numberAt(scales, at), 0, zero};
    }
  };
}

/// weight_packed i32[N, K * bits / 32], each number 2^(bits - 1) more than it is.
QuantisedMatrix packedMatrix(const QuantisedFiles &files, const std::string &stem, const Scheme &scheme) {
  const TensorView &weight = files.need(stem + ".weight_packed");
  files.expectMatrix(weight, wordTypes);
  const TensorView &shape = files.need(stem + ".weight_shape");
  if ((shape.dtype != KILN_I64 && shape.dtype != KILN_I32) || shape.shape != std::vector<int64_t>{2})
    files.bad(shape.name, "expected i64[2], found " + typeText(shape.dtype, shape.shape));
  QuantisedMatrix matrix;
  matrix.name = stem + ".weight";
  matrix.parts = {weight.name, shape.name};
  matrix.rows = loadInteger(shape.dtype, shape.data, 0), matrix.width = loadInteger(shape.dtype, shape.data, 1);
  matrix.bits = 0;
  bool fits = matrix.rows == weight.shape[0] && matrix.width > 0 && matrix.width <= weight.shape[1] * 32;
  for (int bits : scheme.bits)
    if (fits && (matrix.width * bits + 31) / 32 == weight.shape[1])
      matrix.bits = bits;
  if (!matrix.bits)
    files.bad(weight.name, format("%s is no matrix [%lld, %lld] in the 'num_bits' of 'config_groups'",
                                  typeText(weight.dtype, weight.shape).c_str(), static_cast<long long>(matrix.rows),
                                  static_cast<long long>(matrix.width)));
  readCompressedGroups(files, stem, matrix, true);
  matrix.numbers = packedRows(weight, matrix.bits, matrix.width);
  return matrix;
}

QuantisedMatrix byteMatrix(const QuantisedFiles &files, const std::string &stem, const TensorView &weight) {
  files.expectMatrix(weight, {KILN_I8});
  QuantisedMatrix matrix;
  matrix.name = weight.name;
  matrix.parts = {weight.name};
  matrix.rows = weight.shape[0], matrix.width = weight.shape[1];
  readCompressedGroups(files, stem, matrix, false);
  matrix.numbers = signedRows(weight);
  return matrix;
}

/// Floats of eight bits, whose zero points, where a file has some, are zeros.
QuantisedMatrix compressedFloats(const QuantisedFiles &files, const std::string &stem, const TensorView &weight,
                                 const Scheme &scheme) {
  QuantisedMatrix matrix = eightBitMatrix(files, weight, files.need(stem + ".weight_scale"), scheme.block);
  if (const TensorView *zeros = files.files.find(stem + ".weight_zero_point")) {
    if (std::any_of(zeros->data, zeros->data + zeros->bytes, [](uint8_t byte) { return byte != 0; }))
      files.bad(zeros->name, "a zero point of floats is not 0, which is not read");
    matrix.parts.push_back(zeros->name);
  }
  return matrix;
}

} // namespace

Matrices compressedMatrices(const QuantisedFiles &files, std::vector<std::string> &notes) {
  Scheme scheme = schemeOf(files, notes);
  Matrices found;
  for (const std::string &stem : stemsOf(files, ".weight_packed")) {
    const TensorView &packed = files.need(stem + ".weight_packed");
    if (packed.dtype == KILN_U8)
      found.push_back(fourBitFloats(files, stem + ".weight", packed, files.need(stem + ".weight_scale"),
                                    files.files.find(stem + ".weight_global_scale"), /*over=*/true));
    else
      found.push_back(packedMatrix(files, stem, scheme));
  }
  for (const std::string &stem : stemsOf(files, ".weight")) {
    const TensorView &weight = files.need(stem + ".weight");
    if (weight.dtype == KILN_I8)
      found.push_back(byteMatrix(files, stem, weight));
    else if (isEightBits(weight.dtype))
      found.push_back(compressedFloats(files, stem, weight, scheme));
  }
  return found;
}

} // namespace kiln::huggingface
