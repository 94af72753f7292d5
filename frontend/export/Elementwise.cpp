// Ops on each element. Operands may be broadcast: numpy's rules make the result the larger of them.
#include "frontend/export/Ops.h"

namespace kiln::exported {

namespace {

using mlir::Operation;

/// The dimensions of an elementwise result: the larger one of each axis, from the last one on.
llvm::SmallVector<Dim> joined(Graph &graph, mlir::ValueRange operands) {
  llvm::SmallVector<Dim> out;
  for (mlir::Value operand : operands) {
    llvm::SmallVector<Dim> dims = graph.held(operand).dims;
    if (dims.size() > out.size())
      out.insert(out.begin(), dims.size() - out.size(), Dim(1));
    size_t offset = out.size() - dims.size();
    for (size_t i = 0; i < dims.size(); ++i)
      if (out[offset + i] == Dim(1))
        out[offset + i] = dims[i];
  }
  return out;
}

void setJoined(Graph &graph, Operation *op, const std::string &name) {
  graph.set(op->getResult(0), Held{name, joined(graph, op->getOperands())});
}

std::vector<std::string> names(Graph &graph, Operation *op) {
  std::vector<std::string> out;
  for (mlir::Value operand : op->getOperands())
    out.push_back(graph.held(operand).name);
  return out;
}

using Write = std::function<void(Graph &, Operation *)>;

/// One node of ONNX; of bool another one.
Write plain(std::string type, std::string ofBool = "") {
  return [=](Graph &graph, Operation *op) {
    bool isBoolean = isBool(elementOf(op->getOperand(0)));
    if (isBoolean && ofBool.empty())
      return graph.fail(op, "works on bool here, which ONNX's " + type + " does not");
    setJoined(graph, op, graph.add(isBoolean ? ofBool : type, names(graph, op)));
  };
}

/// What works on the bits of integers, from opset 18 on.
Write bits(std::string type, std::string ofBool) {
  return [=](Graph &graph, Operation *op) {
    if (!isBool(elementOf(op->getOperand(0))) && graph.opset < 18)
      return graph.fail(op, "of integers needs ONNX's opset 18: --opset 18");
    plain(type, ofBool)(graph, op);
  };
}

void remainder(Graph &graph, Operation *op) {
  setJoined(graph, op, graph.add("Mod", names(graph, op), {attribute("fmod", int64_t{1})}));
}

void rsqrt(Graph &graph, Operation *op) {
  setJoined(graph, op, graph.add("Reciprocal", {graph.add("Sqrt", names(graph, op))}));
}

/// Is |x| < 1/2?
std::string isSmall(Graph &graph, Operation *op, const std::string &x) {
  return graph.add("Less", {graph.add("Abs", {x}), graph.scalar(elementOf(op->getOperand(0)), 0.5)});
}

/// e^x - 1, near 0 by 2 t / (1 - t) with t = tanh(x / 2), where nothing cancels.
void expm1(Graph &graph, Operation *op) {
  mlir::Type element = elementOf(op->getOperand(0));
  std::string x = names(graph, op)[0], one = graph.scalar(element, 1), two = graph.scalar(element, 2);
  std::string t = graph.add("Tanh", {graph.add("Div", {x, two})});
  std::string near = graph.add("Div", {graph.add("Mul", {two, t}), graph.add("Sub", {one, t})});
  std::string far = graph.add("Sub", {graph.add("Exp", {x}), one});
  setJoined(graph, op, graph.add("Where", {isSmall(graph, op, x), near, far}));
}

/// ln(1 + x), near 0 by x ln(u) / (u - 1) with u = 1 + x as it is rounded.
void log1p(Graph &graph, Operation *op) {
  mlir::Type element = elementOf(op->getOperand(0));
  std::string x = names(graph, op)[0], one = graph.scalar(element, 1);
  std::string u = graph.add("Add", {one, x}), moved = graph.add("Sub", {u, one}), far = graph.add("Log", {u});
  std::string none = graph.add("Equal", {moved, graph.scalar(element, 0)});
  std::string by = graph.add("Where", {none, one, moved});
  std::string near = graph.add("Where", {none, x, graph.add("Div", {graph.add("Mul", {x, far}), by})});
  setJoined(graph, op, graph.add("Where", {isSmall(graph, op, x), near, far}));
}

/// ONNX shifts unsigned integers alone, by less than their width.
Write shift(std::string direction) {
  return [=](Graph &graph, Operation *op) {
    mlir::Type element = elementOf(op->getOperand(0));
    std::vector<std::string> xs = names(graph, op);
    if (!element.isUnsignedInteger())
      return graph.fail(op, "of signed integers is not there in ONNX");
    std::string shifted = graph.add("BitShift", xs, {attribute("direction", std::string_view(direction))});
    std::string fits = graph.add("Less", {xs[1], graph.scalar(element, element.getIntOrFloatBitWidth())});
    setJoined(graph, op, graph.add("Where", {fits, shifted, graph.scalar(element, 0)}));
  };
}

void compare(Graph &graph, Operation *op) {
  std::vector<std::string> xs = names(graph, op);
  Predicate predicate = llvm::cast<CompareOp>(op).getPredicate();
  bool equality = predicate == Predicate::eq || predicate == Predicate::ne;
  if (isBool(elementOf(op->getOperand(0))) && !equality)
    for (std::string &x : xs)
      x = graph.cast(x, DataType::Int32);
  const char *type = predicate == Predicate::lt   ? "Less"
                     : predicate == Predicate::le ? "LessOrEqual"
                     : predicate == Predicate::gt ? "Greater"
                     : predicate == Predicate::ge ? "GreaterOrEqual"
                                                  : "Equal";
  std::string out = graph.add(type, xs);
  setJoined(graph, op, predicate == Predicate::ne ? graph.add("Not", {out}) : out);
}

void select(Graph &graph, Operation *op) { setJoined(graph, op, graph.add("Where", names(graph, op))); }

void convert(Graph &graph, Operation *op) {
  setJoined(graph, op, graph.cast(names(graph, op)[0], dataTypeOf(elementOf(op->getResult(0)))));
}

void same(Graph &graph, Operation *op) { graph.set(op->getResult(0), graph.held(op->getOperand(0))); }

void gelu(Graph &graph, Operation *op) {
  bool tanh = llvm::cast<GeluOp>(op).getTanh();
  setJoined(graph, op,
            graph.add("Gelu", names(graph, op), {attribute("approximate", std::string_view(tanh ? "tanh" : "none"))}));
}

void random(Graph &graph, Operation *op) {
  graph.fail(op, "draws random numbers, which would be others in ONNX: export a function without them");
}

/// Matrices become blocks behind what is exported.
void blocks(Graph &graph, Operation *op) {
  graph.fail(op, "reads a matrix in blocks, which an ONNX file has widened: export the model without --weights-as");
}

void bitcast(Graph &graph, Operation *op) {
  graph.fail(op, "reads a number's bits, for which opsets up to 22 have no words");
}

} // namespace

std::vector<Op> elementwiseOps() {
  return {
#define KILN_ONNX(name, onnx, opset) {name, onnx, plain(onnx)},
#include "ir/Ops.inc"
      {"neg", "Neg", plain("Neg")},
      {"expm1", "Exp, Sub; near 0 by Tanh", expm1},
      {"log1p", "Log", log1p},
      {"rsqrt", "Reciprocal(Sqrt)", rsqrt},
      {"floor", "Floor", plain("Floor")},
      {"ceil", "Ceil", plain("Ceil")},
      {"round", "Round", plain("Round")},
      {"not", "Not, BitwiseNot", bits("BitwiseNot", "Not")},
      {"add", "Add, of bool Or", plain("Add", "Or")},
      {"sub", "Sub", plain("Sub")},
      {"mul", "Mul, of bool And", plain("Mul", "And")},
      {"div", "Div", plain("Div")},
      {"rem", "Mod(fmod=1)", remainder},
      {"pow", "Pow", plain("Pow")},
      {"max", "Max, of bool Or", plain("Max", "Or")},
      {"min", "Min, of bool And", plain("Min", "And")},
      {"and", "And, BitwiseAnd", bits("BitwiseAnd", "And")},
      {"or", "Or, BitwiseOr", bits("BitwiseOr", "Or")},
      {"xor", "Xor, BitwiseXor", bits("BitwiseXor", "Xor")},
      {"shl", "BitShift, of unsigned integers", shift("LEFT")},
      {"shr", "BitShift, of unsigned integers", shift("RIGHT")},
      {"compare", "Equal, Less, LessOrEqual, Greater, GreaterOrEqual, Not", compare},
      {"select", "Where", select},
      {"convert", "Cast", convert},
      {"bitcast", "", bitcast},
      {"stop_gradient", "nothing", same},
      {"gelu", "Gelu (before opset 20 its parts)", gelu},
      {"random_bits", "", random},
      {"dequantize", "", blocks},
      {"decode", "", blocks},
      {"random_uniform", "", random},
      {"random_normal", "", random},
      {"dropout", "", random},
      {"dropout_attention", "", random},
  };
}

} // namespace kiln::exported
