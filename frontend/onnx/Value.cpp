// Elements of constants, and dimensions and numbers as Kiln writes them.
#include "frontend/onnx/Value.h"

#include "runtime/support/Error.h"

#include <cmath>

namespace kiln::onnx {

Element Element::ratio(const Dim &dim, int64_t divisor) {
  if (std::optional<int64_t> number = dim.constant())
    return static_cast<double>(*number) / static_cast<double>(divisor);
  if (std::optional<Dim> exact = dim.exactDiv(Dim(divisor)))
    return *exact;
  Element out(dim);
  out.isDim = false;
  out.divisor = divisor;
  return out;
}

std::optional<double> Element::constant() const {
  if (divisor > 1)
    return std::nullopt;
  if (!isDim)
    return number;
  std::optional<int64_t> whole = dim.constant();
  return whole ? std::optional<double>(static_cast<double>(*whole)) : std::nullopt;
}

bool Value::isSingle() const {
  for (const Dim &dim : shape)
    if (dim != Dim(1))
      return false;
  return true;
}

Value valueOf(std::shared_ptr<const Constant> constant) {
  Value out;
  out.wish = constant->name;
  if (!constant->problem.empty())
    throw Error("the tensor '" + constant->name + "' is used, and " + constant->problem);
  out.dtype = *dtypeOf(constant->type);
  for (int64_t dim : constant->shape)
    out.shape.emplace_back(dim);
  int64_t count = constant->count();
  if (count <= (isFloat(out.dtype) ? kMostKnownFloats : kMostKnown)) {
    auto elements = std::make_shared<std::vector<Element>>();
    // Raw bytes of a file need not be aligned.
    std::string aligned(constant->bytes);
    for (int64_t i = 0; i < count; ++i)
      if (isFloat(out.dtype))
        elements->emplace_back(loadNumber(out.dtype, aligned.data(), i));
      else
        elements->emplace_back(Dim(loadInteger(out.dtype, aligned.data(), i)));
    out.known = std::move(elements);
  }
  out.constant = std::move(constant);
  return out;
}

std::string typeText(kiln_dtype dtype, const std::vector<Dim> &shape) {
  std::string out = dtypeName(dtype);
  for (size_t i = 0; i < shape.size(); ++i)
    out += (i == 0 ? "[" : ", ") + dimText(shape[i]);
  return out + (shape.empty() ? "" : "]");
}

Dim product(const std::vector<Dim> &dims) {
  Dim out(1);
  for (const Dim &dim : dims)
    out = out * dim;
  return out;
}

namespace {
/// Dim::str() in Kiln's words: floordiv(a, n) is (a) // n.
class DimWriter {
public:
  explicit DimWriter(std::string_view text) : text_(text) {}
  std::string run() {
    std::string out = until("");
    return out;
  }

private:
  std::string until(std::string_view ends) {
    std::string out;
    while (at_ < text_.size() && ends.find(text_[at_]) == std::string_view::npos) {
      if (text_.substr(at_).starts_with("floordiv(")) {
        at_ += 9;
        std::string a = until(","), n;
        at_ += 1;
        n = until(")");
        at_ += 1;
        out += "((" + a + ") // " + std::string(n.substr(n.find_first_not_of(' '))) + ")";
      } else if (text_.substr(at_).starts_with("max(")) {
        at_ += 4;
        std::string a = until(","), b;
        at_ += 1;
        b = until(")");
        at_ += 1;
        out += "max(" + a + "," + b + ")";
      } else if (text_[at_] == '(') {
        at_ += 1;
        out += "(" + until(")") + ")";
        at_ += 1;
      } else {
        char c = text_[at_++];
        bool spaced = (c == '+' || c == '-' || c == '*') && !out.empty() && out.back() != '(' && out.back() != ' ';
        out += spaced ? std::string(" ") + c + " " : std::string(1, c);
      }
    }
    return out;
  }

  std::string_view text_;
  size_t at_ = 0;
};
} // namespace

std::string dimText(const Dim &dim, bool atom) {
  std::string text = DimWriter(dim.str()).run();
  bool plain = text.find_first_of(" -(") == std::string::npos;
  if (!plain && text.starts_with("((") && text.ends_with(")")) {
    // A whole floordiv needs no brackets of its own where none are asked for.
    int depth = 0;
    size_t i = 0;
    for (; i < text.size(); ++i)
      if ((depth += text[i] == '(' ? 1 : text[i] == ')' ? -1 : 0) == 0)
        break;
    if (i + 1 == text.size())
      return atom ? text : text.substr(1, text.size() - 2);
  }
  return atom && !plain ? "(" + text + ")" : text;
}

std::string numberText(double number, kiln_dtype dtype) {
  if (std::isnan(number))
    return "nan";
  if (std::isinf(number))
    return number < 0 ? "(-inf)" : "inf";
  std::string text = dtype == KILN_F64 ? shortest(number) : shortest(static_cast<float>(number));
  if (text.find_first_of(".e") == std::string::npos)
    text += ".0";
  return text[0] == '-' ? "(" + text + ")" : text;
}

std::string elementText(const Element &element, kiln_dtype dtype) {
  if (dtype == KILN_BOOL)
    return element.dim == Dim(0) ? "False" : "True";
  if (element.divisor > 1)
    return std::string("(") + dtypeName(dtype) + "(" + dimText(element.dim) + ") / " + std::to_string(element.divisor) +
           ".0)";
  if (isFloat(dtype))
    return element.constant() ? numberText(*element.constant(), dtype) : dimText(element.dim, /*atom=*/true);
  return dimText(element.dim, /*atom=*/true);
}

} // namespace kiln::onnx
