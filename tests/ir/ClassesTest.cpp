// Every op says its class and cost; element types and dtypes are one to one.
#include "ir/Classes.h"
#include "ir/Build.h"
#include "tests/ir/Run.h"

namespace kiln {
namespace {

TEST(Classes, ElementwiseIsTheTrait) {
  // An op is created, without operands or regions that make sense, for its name alone.
  mlir::OpBuilder builder(&testing::context());
  size_t ops = 0;
  for (mlir::RegisteredOperationName name : testing::context().getRegisteredOperations()) {
    if (name.getDialectNamespace() != "kiln")
      continue;
    ++ops;
    mlir::Operation *op = mlir::Operation::create(mlir::OperationState(builder.getUnknownLoc(), name));
    if (name.getStringRef() != "kiln.stop_gradient")
      EXPECT_EQ(name.hasTrait<mlir::OpTrait::Elementwise>(), isElementwise(op)) << name.getStringRef().str();
    if (name.hasTrait<mlir::OpTrait::IsTerminator>())
      EXPECT_EQ(opClassOf(op), OpClass::Structure);
    op->destroy();
  }
  EXPECT_GT(ops, 70u);
}

TEST(Classes, AnswerForAnOperation) {
  mlir::OpBuilder builder(&testing::context());
  Emit e(builder, builder.getUnknownLoc());
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(builder.getUnknownLoc());
  builder.setInsertionPointToStart(module->getBody());
  mlir::Value x = e.splat(tensorType({2, 3}, builder.getF32Type()), 0.5);
  EXPECT_TRUE(isSource(x.getDefiningOp()) && !isDear(x.getDefiningOp()));
  mlir::Operation *tanh = e.tanh(x).getDefiningOp(), *sum = e.add(x, x).getDefiningOp();
  EXPECT_TRUE(isElementwise(tanh) && isDear(tanh));
  EXPECT_TRUE(isElementwise(sum) && !isDear(sum));
  EXPECT_TRUE(isDear(e.div(x, x).getDefiningOp()));
  mlir::Operation *turned = e.transposed(x, {1, 0}).getDefiningOp();
  EXPECT_TRUE(isLayout(turned) && isReindexing(turned));
  mlir::Operation *joined = e.concat({x, x}, 0).getDefiningOp();
  EXPECT_TRUE(isLayout(joined) && !isReindexing(joined));
  EXPECT_EQ(opClassOf(e.reduceSum(x, {0}).getDefiningOp()), OpClass::Reduction);
  EXPECT_EQ(opClassOf(module->getOperation()), OpClass::Structure); // another dialect's
}

TEST(Dtypes, OfElementTypes) {
  mlir::Builder b(&testing::context());
  const std::pair<mlir::Type, kiln_dtype> pairs[] = {
      {b.getF32Type(), KILN_F32},       {b.getF64Type(), KILN_F64},
      {b.getBF16Type(), KILN_BF16},     {b.getF16Type(), KILN_F16},
      {b.getIntegerType(8), KILN_I8},   {b.getIntegerType(8, false), KILN_U8},
      {b.getIntegerType(32), KILN_I32}, {b.getIntegerType(32, false), KILN_U32},
      {b.getIntegerType(64), KILN_I64}, {b.getI1Type(), KILN_BOOL}};
  for (auto [type, dtype] : pairs) {
    EXPECT_EQ(dtypeOf(type), dtype);
    EXPECT_TRUE(isKilnTensor(tensorType({2}, type)));
  }
  EXPECT_EQ(elementBytes(b.getI1Type()), 1);
  EXPECT_EQ(elementBytes(tensorType({2}, b.getBF16Type())), 2);
  for (mlir::Type type : {mlir::Type(b.getIntegerType(16)), mlir::Type(b.getIntegerType(64, false)),
                          mlir::Type(b.getIntegerType(32, true)), mlir::Type(b.getIntegerType(4)),
                          mlir::Type(b.getFloat8E5M2Type()), mlir::Type(b.getF128Type()), mlir::Type(b.getIndexType())})
    EXPECT_FALSE(dtypeOf(type));
}

} // namespace
} // namespace kiln
