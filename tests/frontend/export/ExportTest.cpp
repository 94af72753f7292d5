// The table of ops: it has all that a decomposed function may hold, and docs/onnx.md has it.
#include "frontend/export/Ops.h"

#include "frontend/export/Onnx.h"

#include "gtest/gtest.h"

#include <fstream>
#include <set>

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
  std::set<std::string> known = {"yield", "group"}; // which the writers of loops read, and which come later
  for (const Op &op : ops())
    known.insert(op.name);
  for (mlir::RegisteredOperationName name : context.getRegisteredOperations())
    if (name.getDialectNamespace() == "kiln" && !name.hasInterface<DecomposableOpInterface>())
      EXPECT_TRUE(known.count(name.stripDialect().str())) << name.getStringRef().str();
  for (int opset : {17, 20})
    for (const std::string &whole : wholeOps(opset))
      EXPECT_TRUE(known.count(whole.substr(5))) << whole;
}

} // namespace
} // namespace kiln::exported
