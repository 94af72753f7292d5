// The table of ops: it has all that a decomposed function may hold, and docs/onnx.md has it. And weights of any type.
#include "frontend/export/Ops.h"

#include "frontend/export/Onnx.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"

#include <fstream>
#include <set>
#include <tuple>

namespace kiln::exported {
namespace {

/// docs/onnx.md has the table that `kiln export --ops` prints.
TEST(ExportDocs, HaveTheTableOfOps) {
  std::ifstream file(std::string(KILN_SOURCE) + "/docs/onnx.md");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_NE(text.find(opsTable()), std::string::npos) << "put the lines of `kiln export --ops` into docs/onnx.md";
}

/// Composites are taken apart; what else the dialect has is mapped or refused by name.
TEST(Export, KnowsEveryPrimitive) {
  mlir::MLIRContext context;
  context.loadDialect<KilnDialect>();
  std::set<std::string> known = {"yield", "group",
                                 "gradient"}; // read by the writers of loops, not there yet, or no more
  for (const Op &op : ops())
    known.insert(op.name);
  for (mlir::RegisteredOperationName name : context.getRegisteredOperations())
    if (name.getDialectNamespace() == "kiln" && !name.hasInterface<DecomposableOpInterface>())
      EXPECT_TRUE(known.count(name.stripDialect().str())) << name.getStringRef().str();
  for (int opset : {17, 20})
    for (const std::string &whole : wholeOps(opset))
      EXPECT_TRUE(known.count(whole.substr(5))) << whole;
}

/// The export of a function that has only a parameter 'w' of four, declared `declared`, whose weights are `found`.
absl::StatusOr<File> exportOf(const std::string &declared, kiln_dtype found, const std::vector<int64_t> &values) {
  mlir::MLIRContext context;
  context.loadDialect<KilnDialect, mlir::func::FuncDialect>();
  std::string type = "tensor<4x" + declared + ">";
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::parseSourceString<mlir::ModuleOp>(
      "module @m { func.func @forward(%w: " + type + " {kiln.parameter = \"w\"}) -> (" + type +
          " {kiln.output = \"y\"}) { return %w : " + type + " } }",
      &context);
  EXPECT_TRUE(module);
  Tensor tensor("w", found, {4});
  for (size_t i = 0; i < values.size(); ++i)
    storeInteger(found, tensor.memory.data(), static_cast<int64_t>(i), values[i]);
  return exportOnnx(*module, Safetensors::of({tensor.view()}, "the weights", nullptr), {});
}

/// TensorProto's raw_data of the one weight.
std::string bytesIn(const std::string &model, size_t count) {
  std::string before = {'\x42', '\x01', 'w', '\x4a', static_cast<char>(count)}; // name "w", then the bytes
  size_t at = model.find(before);
  return at == std::string::npos ? "none" : model.substr(at + before.size(), count);
}

std::string rawOf(kiln_dtype dtype, const std::vector<int64_t> &values) {
  std::string out(values.size() * dtypeSize(dtype), '\0');
  for (size_t i = 0; i < values.size(); ++i)
    storeInteger(dtype, out.data(), static_cast<int64_t>(i), values[i]);
  return out;
}

/// A file's types are the weights' own: another width is converted where every value fits, else refused.
TEST(Export, ConvertsWeightsToTheirDeclaredTypes) {
  const std::vector<int64_t> flags = {1, 0, 1, 1}, small = {1, 2, 100, 0};
  for (const auto &[declared, wanted, found, values] :
       std::vector<std::tuple<std::string, kiln_dtype, kiln_dtype, std::vector<int64_t>>>{
           {"i32", KILN_I32, KILN_I32, small},
           {"i32", KILN_I32, KILN_I64, small},
           {"i64", KILN_I64, KILN_I8, small},
           {"ui8", KILN_U8, KILN_I32, small},
           {"i1", KILN_BOOL, KILN_U8, flags},
           {"f32", KILN_F32, KILN_BF16, small},
           {"bf16", KILN_BF16, KILN_F32, small}}) {
    SCOPED_TRACE(declared + " of " + dtypeName(found));
    absl::StatusOr<File> file = exportOf(declared, found, values);
    ASSERT_TRUE(file.ok()) << file.status().message();
    std::string raw = rawOf(wanted, values);
    EXPECT_EQ(bytesIn(file->model, raw.size()), raw);
  }
}

TEST(Export, RefusesWeightsThatDoNotFit) {
  for (const auto &[declared, found, values, why] :
       std::vector<std::tuple<std::string, kiln_dtype, std::vector<int64_t>, std::string>>{
           {"i32", KILN_F32, {1, 2, 3, 4}, "expected i32[4], found f32[4]"},
           {"i1", KILN_F16, {1, 0, 1, 0}, "expected bool[4], found f16[4]"},
           {"f32", KILN_I32, {1, 2, 3, 4}, "expected f32[4], found i32[4]"},
           {"i1", KILN_I8, {1, 0, 2, 0}, "expected bool[4], found i8[4]: element 2 is 2, which bool cannot hold"},
           {"ui8", KILN_I8, {1, 0, -2, 0}, "expected u8[4], found i8[4]: element 2 is -2, which u8 cannot hold"},
           {"ui32", KILN_I32, {1, -1, 2, 0}, "expected u32[4], found i32[4]: element 1 is -1, which u32 cannot hold"},
           {"i8", KILN_U8, {200, 0, 2, 0}, "expected i8[4], found u8[4]: element 0 is 200, which i8 cannot hold"}}) {
    absl::StatusOr<File> file = exportOf(declared, found, values);
    ASSERT_FALSE(file.ok()) << declared << " of " << dtypeName(found);
    EXPECT_NE(file.status().message().find("the tensor 'w' of the weights does not fit the model: " + why),
              std::string::npos)
        << file.status().message();
  }
}

} // namespace
} // namespace kiln::exported
