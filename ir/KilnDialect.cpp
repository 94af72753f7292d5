// The dialect, its attributes, and what a tensor of it is.

#include "ir/Classes.h"
#include "ir/Kiln.h"
#include "ir/interpreter/Fold.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

#include "ir/KilnDialect.cpp.inc"
#include "ir/KilnEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "ir/KilnAttrs.cpp.inc"
#include "ir/KilnInterfaces.cpp.inc"

namespace kiln {

void KilnDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "ir/KilnAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "ir/KilnOps.cpp.inc"
      >();
  addConstantFolding(*this);
}

mlir::Operation *KilnDialect::materializeConstant(mlir::OpBuilder &builder, mlir::Attribute value, mlir::Type type,
                                                  mlir::Location loc) {
  if (auto elements = llvm::dyn_cast<mlir::ElementsAttr>(value))
    return builder.create<ConstantOp>(loc, type, elements);
  return nullptr;
}

/// What a module's lists (kiln.parameters, kiln.states, kiln.data) declare becomes buffers and files, with no op
/// between.
mlir::LogicalResult KilnDialect::verifyOperationAttribute(mlir::Operation *op, mlir::NamedAttribute attribute) {
  llvm::StringRef key = attribute.getName().getValue();
  if (key == "kiln.parameters" || key == "kiln.states" || key == "kiln.data") {
    auto list = llvm::dyn_cast<mlir::ArrayAttr>(attribute.getValue());
    bool named = list && llvm::all_of(list, [](mlir::Attribute entry) {
                   auto declared = llvm::dyn_cast<mlir::DictionaryAttr>(entry);
                   return declared && declared.getAs<mlir::StringAttr>("name");
                 });
    if (!named)
      return op->emitError() << key << " is a list of dictionaries with a name each, as [{name = \"w\", ...}]";
  }
  mlir::WalkResult walked = attribute.getValue().walk([&](mlir::DictionaryAttr declared) {
    auto type = declared.getAs<mlir::TypeAttr>("type");
    if (!type || isKilnTensor(type.getValue()))
      return mlir::WalkResult::advance();
    auto name = declared.getAs<mlir::StringAttr>("name");
    op->emitError() << key << ": '" << (name ? name.getValue() : "") << "' is " << type.getValue()
                    << ", which is no tensor of the dialect";
    return mlir::WalkResult::interrupt();
  });
  return mlir::failure(walked.wasInterrupted());
}

mlir::LogicalResult DimsAttr::verify(llvm::function_ref<mlir::InFlightDiagnostic()> emitError,
                                     llvm::ArrayRef<mlir::StringAttr> exprs) {
  for (mlir::StringAttr expr : exprs) {
    std::optional<Dim> dim = Dim::parse(expr.getValue());
    if (!dim)
      return emitError() << "malformed dimension expression \"" << expr.getValue() << "\"";
    if (dim->str() != expr.getValue())
      return emitError() << "dimension expression \"" << expr.getValue() << "\" is not in normal form; write \""
                         << dim->str() << "\"";
  }
  return mlir::success();
}

mlir::LogicalResult DimsAttr::verifyEncoding(llvm::ArrayRef<int64_t> shape, mlir::Type element,
                                             llvm::function_ref<mlir::InFlightDiagnostic()> emitError) const {
  if (shape.size() != size())
    return emitError() << "#kiln.dims gives " << size() << " dimensions to a tensor of rank " << shape.size();
  bool symbolic = false;
  for (auto [axis, dim] : llvm::enumerate(dims())) {
    std::optional<int64_t> constant = dim.constant();
    symbolic |= !constant;
    if (constant.value_or(mlir::ShapedType::kDynamic) != shape[axis])
      return emitError() << "#kiln.dims gives \"" << dim.str() << "\" for dimension " << axis << ", the shape "
                         << (mlir::ShapedType::isDynamic(shape[axis]) ? "?" : std::to_string(shape[axis]));
  }
  if (!symbolic)
    return emitError() << "#kiln.dims on a tensor whose dimensions are all "
                          "constant; leave it out";
  return mlir::success();
}

DimsAttr DimsAttr::get(mlir::MLIRContext *context, llvm::ArrayRef<Dim> dims) {
  llvm::SmallVector<mlir::StringAttr> exprs;
  for (const Dim &dim : dims)
    exprs.push_back(mlir::StringAttr::get(context, dim.str()));
  return get(context, exprs);
}

/// Of the few expressions that a model has, each is asked for thousands of times.
static const Dim &parsed(llvm::StringRef text) {
  static constexpr size_t most = 4096; // a process that compiles many models does not keep all of theirs
  static thread_local llvm::StringMap<Dim> known;
  auto found = known.find(text);
  if (found == known.end()) {
    if (known.size() >= most)
      known.clear();
    found = known.try_emplace(text, *Dim::parse(text)).first;
  }
  return found->second;
}

llvm::SmallVector<Dim> DimsAttr::dims() const {
  llvm::SmallVector<Dim> result;
  for (mlir::StringAttr expr : getExprs())
    result.push_back(parsed(expr.getValue()));
  return result;
}

bool isKilnTensor(mlir::Type type) {
  auto tensor = llvm::dyn_cast<mlir::RankedTensorType>(type);
  if (!tensor || (tensor.getEncoding() ? !llvm::isa<DimsAttr>(tensor.getEncoding()) : !tensor.hasStaticShape()))
    return false;
  return dtypeOf(tensor.getElementType()).has_value();
}

mlir::RankedTensorType tensorType(llvm::ArrayRef<Dim> dims, mlir::Type element) {
  llvm::SmallVector<int64_t> sizes;
  bool symbolic = false;
  for (const Dim &dim : dims) {
    std::optional<int64_t> size = dim.constant();
    symbolic |= !size;
    sizes.push_back(size.value_or(mlir::ShapedType::kDynamic));
  }
  return mlir::RankedTensorType::get(sizes, element, symbolic ? DimsAttr::get(element.getContext(), dims) : DimsAttr());
}

llvm::SmallVector<Dim> dimsOf(mlir::Type type) {
  auto tensor = llvm::cast<mlir::RankedTensorType>(type);
  if (auto encoding = llvm::dyn_cast_or_null<DimsAttr>(tensor.getEncoding()))
    return encoding.dims();
  llvm::SmallVector<Dim> result;
  for (int64_t size : tensor.getShape())
    result.push_back(Dim(size));
  return result;
}

mlir::RankedTensorType withElement(mlir::Type type, mlir::Type element) {
  auto tensor = llvm::cast<mlir::RankedTensorType>(type);
  return mlir::RankedTensorType::get(tensor.getShape(), element, tensor.getEncoding());
}

bool holdsInteger(mlir::Type element, int64_t value) {
  auto integer = llvm::cast<mlir::IntegerType>(element);
  if (integer.isUnsigned())
    return value >= 0 && llvm::isUIntN(integer.getWidth(), static_cast<uint64_t>(value));
  return llvm::isIntN(integer.getWidth(), value);
}

} // namespace kiln
