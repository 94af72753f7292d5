// Cooperative matrices in the words that glslang 12 has for them (MatrixWords.h), or spelt out in loops.

#include "backends/vulkan/compile/Matrices.h"
#include "backends/vulkan/compile/MatrixWords.h"

namespace kiln::vulkan {

namespace {
/// Of plain shaders: the shape, and how many invocations share a matrix of sums.
constexpr int plainSide = 8, plainLanes = 8;

/// The constants that the run side sets to the shape of such factors.
uint32_t rowsOf(Factor factor) {
  return factor == Factor::F16    ? KILN_VK_SPECIALIZE_MATRIX_ROWS
         : factor == Factor::BF16 ? KILN_VK_SPECIALIZE_BF16_ROWS
                                  : KILN_VK_SPECIALIZE_I8_ROWS;
}

constexpr const char *splitText = R"(uvec2 splitInTwo(float x) {
  uint bits = floatBitsToUint(x);
  if ((bits & 0x7f800000u) == 0x7f800000u) return uvec2(0x7fc0u, 0u);
  uint high = bits + 0x7fffu + (bits >> 16 & 1u) & 0xffff0000u;
  if ((high & 0x7f800000u) == 0x7f800000u) high = bits & 0xffff0000u; // no larger than the largest
  uint low = floatBitsToUint(x - uintBitsToFloat(high));
  return uvec2(high >> 16, low + 0x7fffu + (low >> 16 & 1u) >> 16);
}
)";
} // namespace

Matrices::Matrices(Shader &shader, sdk::Emitter &emitter, Factor factor, bool plain)
    : factor(factor), plain(plain), shader(shader), emitter(emitter) {
  if (plain) {
    M = N = K = str(plainSide), lanes = str(plainLanes);
    shader.local(plainLanes, subgroups);
    std::string factors = std::string(number()) + " d[" + str(plainSide * plainSide) + "]";
    shader.define("struct Factors { " + factors + "; };\nstruct Sums { " + number() + " d[" +
                  str(plainSide * plainSide / plainLanes) + "]; };\n");
  } else {
    shader.subgroups(subgroups);
    shader.useMatrices();
    uint32_t rows = rowsOf(factor);
    M = shader.specialize(rows, 16), N = shader.specialize(rows + 1, 16), K = shader.specialize(rows + 2, 16);
    lanes = shader.specialize(KILN_VK_SPECIALIZE_SUBGROUP_SIZE, 32);
  }
  emitter.line("const int thread = int(gl_LocalInvocationIndex), lanes = " + lanes + ", threads = lanes * " +
               str(subgroups) + ";");
  emitter.line(plain ? "const int mine = int(gl_LocalInvocationID.y), lane = int(gl_LocalInvocationID.x);"
                     : "const int mine = int(gl_SubgroupID), lane = int(gl_SubgroupInvocationID);");
}

Matrices::Memory Matrices::memory(int rows, int stride, int unit) {
  int bytes = factor == Factor::I8 ? 1 : 2;
  std::string type = unit * bytes == 16       ? "uvec4"
                     : unit * bytes == 8      ? "uvec2"
                     : factor == Factor::F16  ? "float16_t"
                     : factor == Factor::BF16 ? "uint16_t"
                                              : "int8_t";
  return {shader.shared(type, static_cast<int64_t>(rows) * stride / unit, static_cast<uint32_t>(unit * bytes)), unit,
          stride};
}

std::string Matrices::staged(int64_t count) { return shader.shared(number(), count, 4); }

std::string Matrices::type(Part part) const {
  if (plain)
    return part == Sums ? "Sums" : "Factors";
  if (part == Sums)
    return std::string(factor == Factor::I8 ? "i" : "f") + "coopmatNV<32, " + str(MatrixSum) + ", " + M + ", " + N +
           ">";
  std::string width = factor == Factor::I8 ? "icoopmatNV<8, " : "fcoopmatNV<16, ";
  bool brain = factor == Factor::BF16;
  return part == Left ? width + str(brain ? MatrixBrainLeft : MatrixLeft) + ", " + M + ", " + K + ">"
                      : width + str(brain ? MatrixBrainRight : MatrixRight) + ", " + K + ", " + N + ">";
}

std::string Matrices::zero() const {
  const char *zero = factor == Factor::I8 ? "0" : "0.0";
  if (!plain)
    return type(Sums) + "(" + zero + ")";
  std::string zeros;
  for (int i = 0; i < plainSide * plainSide / plainLanes; ++i)
    zeros += std::string(i ? ", " : "") + zero;
  return "Sums(" + std::string(number()) + "[](" + zeros + "))";
}

/// In a plain shader: element number `at` of the array, as a number.
std::string Matrices::element(const Memory &memory, const std::string &at) const {
  std::string unit = str(memory.unit), name = memory.name, i = "(" + at + ")";
  if (memory.unit == 1)
    return factor == Factor::BF16 ? "uintBitsToFloat(uint(" + name + "[" + i + "]) << 16)"
                                  : std::string(number()) + "(" + name + "[" + i + "])";
  int perWord = factor == Factor::I8 ? 4 : 2;
  std::string word = name + "[" + i + " / " + unit + "][" + i + " % " + unit + " / " + str(perWord) + "]",
              within = i + " % " + str(perWord) + " * " + str(32 / perWord);
  if (factor == Factor::I8)
    return "bitfieldExtract(int(" + word + "), " + within + ", 8)";
  std::string bits = "bitfieldExtract(" + word + ", " + within + ", 16)";
  return factor == Factor::F16 ? "unpackHalf2x16(" + bits + ").x" : "uintBitsToFloat(" + bits + " << 16)";
}

void Matrices::load(Part part, const std::string &matrix, const Memory &from, const std::string &offset,
                    bool byColumns) const {
  std::string unit = str(from.unit), stride = str(from.stride);
  if (!plain)
    return emitter.line("coopMatLoadNV(" + matrix + ", " + from.name + ", uint((" + offset + ") / " + unit + "), " +
                        str(from.stride / from.unit) + "u, " + (byColumns ? "true" : "false") + ");");
  std::string columns = part == Left ? K : N, row = "e / " + columns, column = "e % " + columns,
              at = byColumns ? column + " * " + stride + " + " + row : row + " * " + stride + " + " + column;
  emitter.openLoop("[[dont_unroll]] for (int e = 0; e < " + str(plainSide * plainSide) + "; ++e)",
                   plainSide * plainSide);
  emitter.line(matrix + ".d[e] = " + element(from, offset + " + " + at) + ";");
  emitter.close();
}

/// In a plain shader: what is done with each of the sums, `e` its place in the matrix and `o` in the invocation's.
void Matrices::eachSum(const std::string &statement) const {
  constexpr int own = plainSide * plainSide / plainLanes;
  emitter.openLoop("[[dont_unroll]] for (int o = 0; o < " + str(own) + "; ++o)", own);
  emitter.line("const int e = o * " + str(plainLanes) + " + lane;");
  emitter.line(statement);
  emitter.close();
}

void Matrices::multiplyAdd(const std::string &sums, const std::string &left, const std::string &right) const {
  if (!plain)
    return emitter.line(sums + " = coopMatMulAddNV(" + left + ", " + right + ", " + sums + ");");
  std::string products;
  for (int k = 0; k < plainSide; ++k)
    products += (k ? " + " : "") + left + ".d[e / " + K + " * " + K + " + " + str(k) + "] * " + right + ".d[" +
                str(k * plainSide) + " + e % " + N + "]";
  eachSum(sums + ".d[o] += " + products + ";");
}

void Matrices::store(const std::string &sums, const std::string &to, const std::string &offset,
                     const std::string &stride) const {
  if (!plain)
    return emitter.line("coopMatStoreNV(" + sums + ", " + to + ", uint(" + offset + "), uint(" + stride + "), false);");
  eachSum(to + "[" + offset + " + e / " + N + " * " + stride + " + e % " + N + "] = " + sums + ".d[o];");
}

void Matrices::scale(const std::string &sums, const std::string &by, const std::string &offset,
                     const std::string &stride) const {
  if (plain)
    return eachSum(sums + ".d[o] *= " + by + "[" + offset + " + e / " + N + " * " + stride + " + e % " + N + "];");
  emitter.line(type(Sums) + " factors;");
  emitter.line("coopMatLoadNV(factors, " + by + ", uint(" + offset + "), uint(" + stride + "), false);");
  emitter.line(sums + " = " + sums + " / factors; // a product, once MatrixWords.cpp has been there");
}

std::string Matrices::stored(const std::string &element) const {
  return factor == Factor::F16    ? "float16_t(" + element + ")"
         : factor == Factor::BF16 ? "uint16_t(floatBitsToUint(" + element + ") >> 16)"
                                  : "int8_t(" + element + ")";
}

std::string Matrices::split(const std::string &element) {
  if (!splits)
    shader.define(splitText);
  splits = true;
  return "splitInTwo(" + element + ")";
}

} // namespace kiln::vulkan
