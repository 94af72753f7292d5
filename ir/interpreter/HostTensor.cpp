// Elements to doubles and integers, and back with one rounding.

#include "ir/interpreter/HostTensor.h"

#include "runtime/support/Integers.h"

#include <algorithm>
#include <cmath>

namespace kiln {

HostTensor HostTensor::zeros(mlir::Type element, std::vector<int64_t> shape) {
  HostTensor tensor{element, std::move(shape), {}, {}};
  tensor.allocate();
  return tensor;
}

HostTensor HostTensor::ofFloats(mlir::Type element, std::vector<int64_t> shape, std::vector<double> values) {
  return {element, std::move(shape), std::move(values), {}};
}

HostTensor HostTensor::ofIntegers(mlir::Type element, std::vector<int64_t> shape, std::vector<int64_t> values) {
  return {element, std::move(shape), {}, std::move(values)};
}

int64_t HostTensor::size() const {
  int64_t count = 1;
  for (int64_t dim : shape)
    count *= dim;
  return count;
}

std::vector<int64_t> HostTensor::strides() const {
  std::vector<int64_t> result(shape.size(), 1);
  for (size_t axis = shape.size(); axis-- > 1;)
    result[axis - 1] = result[axis] * shape[axis];
  return result;
}

void HostTensor::allocate() {
  if (isFloat())
    floats.assign(size(), 0.0);
  else
    integers.assign(size(), 0);
}

void HostTensor::roundToElement() {
  if (!isFloat() || element.isF64())
    return;
  if (element.isF32()) {
    for (double &value : floats)
      value = static_cast<float>(value);
    return;
  }
  for (double &value : floats)
    value = roundTo(element, value);
}

HostTensor HostTensor::fromAttribute(mlir::ElementsAttr value, std::vector<int64_t> shape) {
  HostTensor tensor = zeros(llvm::cast<mlir::ShapedType>(value.getType()).getElementType(), std::move(shape));
  auto dense = llvm::cast<mlir::DenseElementsAttr>(value);
  auto number = [&](const llvm::APInt &bits) -> int64_t {
    bool isUnsigned = tensor.element.isUnsignedInteger() || tensor.element.isInteger(1);
    return isUnsigned ? static_cast<int64_t>(bits.getZExtValue()) : bits.getSExtValue();
  };
  auto real = [](llvm::APFloat value) {
    bool lost;
    value.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &lost);
    return value.convertToDouble();
  };
  if (dense.isSplat() && tensor.isFloat())
    tensor.floats.assign(tensor.size(), real(dense.getSplatValue<llvm::APFloat>()));
  else if (dense.isSplat())
    tensor.integers.assign(tensor.size(), number(dense.getSplatValue<llvm::APInt>()));
  else if (tensor.isFloat())
    llvm::transform(dense.getValues<llvm::APFloat>(), tensor.floats.begin(), real);
  else
    llvm::transform(dense.getValues<llvm::APInt>(), tensor.integers.begin(), number);
  return tensor;
}

mlir::DenseElementsAttr HostTensor::toAttribute() const {
  auto type = mlir::RankedTensorType::get(shape, element);
  llvm::SmallVector<mlir::Attribute> values;
  values.reserve(size());
  if (auto real = llvm::dyn_cast<mlir::FloatType>(element)) {
    for (double value : floats)
      values.push_back(mlir::FloatAttr::get(real, value));
  } else {
    unsigned width = element.getIntOrFloatBitWidth();
    for (int64_t value : integers)
      values.push_back(
          mlir::IntegerAttr::get(element, llvm::APInt(64, static_cast<uint64_t>(value), true).trunc(width)));
  }
  return mlir::DenseElementsAttr::get(type, values);
}

int64_t wrapTo(mlir::Type element, int64_t value) {
  auto integer = llvm::cast<mlir::IntegerType>(element);
  unsigned width = integer.getWidth();
  if (width == 1)
    return value != 0;
  if (width == 64)
    return value;
  uint64_t bits = static_cast<uint64_t>(value) & ((uint64_t{1} << width) - 1);
  if (!integer.isUnsigned() && (bits >> (width - 1)) != 0)
    bits |= ~((uint64_t{1} << width) - 1);
  return static_cast<int64_t>(bits);
}

int64_t lowestOf(mlir::Type element) {
  auto integer = llvm::cast<mlir::IntegerType>(element);
  if (integer.isUnsigned() || integer.getWidth() == 1)
    return 0;
  return -highestOf(element) - 1;
}

int64_t highestOf(mlir::Type element) {
  auto integer = llvm::cast<mlir::IntegerType>(element);
  if (integer.getWidth() == 1)
    return 1;
  unsigned bits = integer.getWidth() - (integer.isUnsigned() ? 0 : 1);
  return static_cast<int64_t>((uint64_t{1} << bits) - 1);
}

int64_t saturateTo(mlir::Type element, double value) {
  if (element.isInteger(1))
    return value != 0.0;
  return std::clamp(toInteger(value), lowestOf(element), highestOf(element));
}

double roundTo(mlir::Type element, double value) {
  if (element.isF64())
    return value;
  if (element.isF32())
    return static_cast<float>(value);
  llvm::APFloat number(value);
  bool lost;
  number.convert(llvm::cast<mlir::FloatType>(element).getFloatSemantics(), llvm::APFloat::rmNearestTiesToEven, &lost);
  number.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &lost);
  return number.convertToDouble();
}

} // namespace kiln
