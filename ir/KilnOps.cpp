// How loops and branches are built, parsed and printed.

#include "ir/Kiln.h"

#define GET_OP_CLASSES
#include "ir/KilnOps.cpp.inc"

namespace kiln {

void YieldOp::build(mlir::OpBuilder &, mlir::OperationState &) {}

void ScanOp::build(mlir::OpBuilder &builder, mlir::OperationState &state, const Dim &count, mlir::ValueRange inits,
                   mlir::ValueRange sequences, mlir::TypeRange outputTypes, bool reverse) {
  mlir::MLIRContext *context = builder.getContext();
  state.addOperands(inits);
  state.addOperands(sequences);
  auto &properties = state.getOrAddProperties<Properties>();
  properties.count = DimsAttr::get(context, {count});
  properties.reverse = builder.getBoolAttr(reverse);
  properties.operandSegmentSizes = {static_cast<int32_t>(inits.size()), static_cast<int32_t>(sequences.size())};
  state.addTypes(inits.getTypes());
  for (mlir::Type type : outputTypes) {
    llvm::SmallVector<Dim> dims = dimsOf(type);
    dims.insert(dims.begin(), count);
    state.addTypes(tensorType(dims, llvm::cast<mlir::RankedTensorType>(type).getElementType()));
  }
  mlir::Block &block = state.addRegion()->emplaceBlock();
  block.addArgument(tensorType({}, builder.getI32Type()), state.location);
  for (mlir::Value init : inits)
    block.addArgument(init.getType(), init.getLoc());
  for (mlir::Value sequence : sequences)
    block.addArgument(tensorType(llvm::ArrayRef<Dim>(dimsOf(sequence)).drop_front(),
                                 llvm::cast<mlir::RankedTensorType>(sequence.getType()).getElementType()),
                      sequence.getLoc());
}

//===-- Text of scan ---------------------------------------------------------------------------------------------===//

namespace {

using Argument = mlir::OpAsmParser::Argument;
using UnresolvedOperand = mlir::OpAsmParser::UnresolvedOperand;

/// "(%a = %x : type, ...)"
mlir::ParseResult parseBindings(mlir::OpAsmParser &parser, llvm::SmallVectorImpl<Argument> &arguments,
                                llvm::SmallVectorImpl<mlir::Value> &operands) {
  return parser.parseCommaSeparatedList(mlir::OpAsmParser::Delimiter::Paren, [&]() -> mlir::ParseResult {
    UnresolvedOperand operand;
    mlir::Type type;
    if (parser.parseArgument(arguments.emplace_back()) || parser.parseEqual() || parser.parseOperand(operand) ||
        parser.parseColonType(type))
      return mlir::failure();
    if (!isKilnTensor(type))
      return parser.emitError(operand.location, "expected a kiln tensor type");
    arguments.back().type = type;
    return parser.resolveOperand(operand, type, operands);
  });
}

void printBindings(mlir::OpAsmPrinter &printer, llvm::ArrayRef<mlir::BlockArgument> arguments,
                   mlir::ValueRange operands) {
  printer << '(';
  llvm::interleaveComma(llvm::zip_equal(arguments, operands), printer, [&](auto pair) {
    printer << std::get<0>(pair) << " = " << std::get<1>(pair) << " : " << std::get<1>(pair).getType();
  });
  printer << ')';
}

} // namespace

mlir::ParseResult ScanOp::parse(mlir::OpAsmParser &parser, mlir::OperationState &result) {
  mlir::Builder &builder = parser.getBuilder();
  std::string count;
  llvm::SMLoc at = parser.getCurrentLocation();
  auto &properties = result.getOrAddProperties<Properties>();
  if (parser.parseString(&count))
    return mlir::failure();
  properties.count = DimsAttr::getChecked([&] { return parser.emitError(at); }, builder.getContext(),
                                          llvm::ArrayRef{builder.getStringAttr(count)});
  if (!properties.count)
    return mlir::failure();
  properties.reverse = builder.getBoolAttr(mlir::succeeded(parser.parseOptionalKeyword("reverse")));
  llvm::SmallVector<Argument> arguments(1);
  llvm::SmallVector<mlir::Value> inits, sequences;
  llvm::SmallVector<mlir::Type> outputs;
  if (parser.parseKeyword("step") || parser.parseLParen() || parser.parseArgument(arguments[0]) || parser.parseRParen())
    return mlir::failure();
  arguments[0].type = tensorType({}, builder.getI32Type());
  if (mlir::succeeded(parser.parseOptionalKeyword("carry")) && parseBindings(parser, arguments, inits))
    return mlir::failure();
  if (mlir::succeeded(parser.parseOptionalKeyword("over")) && parseBindings(parser, arguments, sequences))
    return mlir::failure();
  for (auto [argument, sequence] :
       llvm::zip_equal(llvm::MutableArrayRef<Argument>(arguments).drop_front(1 + inits.size()), sequences)) {
    llvm::SmallVector<Dim> dims = dimsOf(sequence);
    if (dims.empty())
      return parser.emitError(argument.ssaName.location, "a sequence has a leading axis");
    argument.type = tensorType(llvm::ArrayRef<Dim>(dims).drop_front(),
                               llvm::cast<mlir::RankedTensorType>(sequence.getType()).getElementType());
  }
  if (parser.parseArrow() || parser.parseLParen() ||
      (mlir::failed(parser.parseOptionalRParen()) && (parser.parseTypeList(outputs) || parser.parseRParen())) ||
      parser.parseOptionalAttrDictWithKeyword(result.attributes) || parser.parseRegion(*result.addRegion(), arguments))
    return mlir::failure();
  result.addOperands(inits);
  result.addOperands(sequences);
  properties.operandSegmentSizes = {static_cast<int32_t>(inits.size()), static_cast<int32_t>(sequences.size())};
  result.addTypes(mlir::ValueRange(inits).getTypes());
  result.addTypes(outputs);
  ensureTerminator(*result.regions.front(), builder, result.location);
  return mlir::success();
}

void ScanOp::print(mlir::OpAsmPrinter &printer) {
  printer << " \"" << getCount().getExprs().front().getValue() << '"';
  if (getReverse())
    printer << " reverse";
  printer << " step(" << step() << ')';
  if (!getInits().empty()) {
    printer << " carry";
    printBindings(printer, carryArgs(), getInits());
  }
  if (!getSequences().empty()) {
    printer << " over";
    printBindings(printer, sequenceArgs(), getSequences());
  }
  printer << " -> (";
  llvm::interleaveComma(mlir::TypeRange(getResultTypes()).drop_front(numCarries()), printer);
  printer << ')';
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs(), {"count", "reverse", "operandSegmentSizes"});
  printer << ' ';
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

} // namespace kiln
