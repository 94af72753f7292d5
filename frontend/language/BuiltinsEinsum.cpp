// einsum: sums of products, by letters that name the axes.
#include "frontend/language/Elaborate.h"
#include "ir/Infer.h"

#include <algorithm>
#include <map>

namespace kiln::language {

Value einsum(BoundCall &call);

namespace {
/// A tensor and a letter for each of its axes. Axes that `...` stands for have the letters '0', '1', …, counted from
/// the last one.
struct Named {
  mlir::Value tensor;
  std::string letters;
};

class Einsum {
public:
  explicit Einsum(BoundCall &call) : call_(call), emit_(call.e.emit(call.range)) {}

  Value run() {
    std::optional<std::string> equation = call_.string(0);
    if (!equation || !parse(*equation) || !readOperands())
      return Value::error();
    Named all = withoutTwice(operands_[0]);
    for (size_t i = 1; i < operands_.size(); ++i) {
      std::string later = result_;
      for (size_t k = i + 1; k < operands_.size(); ++k)
        later += operands_[k].letters;
      all = product(all, withoutTwice(operands_[i]), later);
    }
    all = summed(all, result_);
    std::vector<int64_t> order;
    for (char letter : result_)
      order.push_back(static_cast<int64_t>(all.letters.find(letter)));
    return Value::tensorOf(emit_.transposed(all.tensor, order));
  }

private:
  bool refuse(const std::string &message) {
    call_.e.error(call_.ranges[0], "einsum: " + message)
        .withHelp("the equation names each axis with a letter, as in einsum(\"bij,bjk->bik\", a, b)");
    return false;
  }

  bool parse(const std::string &equation) {
    std::string text;
    for (char c : equation)
      if (c != ' ')
        text += c;
    size_t arrow = text.find("->");
    std::string left = text.substr(0, arrow);
    inputs_ = {""};
    for (char c : left) {
      if (c == ',')
        inputs_.emplace_back();
      else
        inputs_.back() += c;
    }
    if (inputs_.size() != call_.rest.size() || call_.rest.empty())
      return refuse("the equation speaks of " + std::to_string(inputs_.size()) +
                    (inputs_.size() == 1 ? " tensor" : " tensors") + ", " + std::to_string(call_.rest.size()) +
                    (call_.rest.size() == 1 ? " is given" : " are given"));
    hasArrow_ = arrow != std::string::npos;
    result_ = hasArrow_ ? text.substr(arrow + 2) : "";
    for (std::string part : inputs_)
      if (!lettersOnly(part))
        return false;
    return lettersOnly(result_);
  }

  bool lettersOnly(std::string part) {
    if (size_t dots = part.find("..."); dots != std::string::npos)
      part.erase(dots, 3);
    for (char c : part)
      if (!std::isalpha(static_cast<unsigned char>(c)))
        return refuse(std::string("'") + c + "' is no letter");
    return true;
  }

  /// `...` as the letters that count from the last of `count` axes.
  static std::string spelled(std::string part, size_t count) {
    std::string letters;
    for (size_t i = count; i-- > 0;)
      letters += static_cast<char>('0' + i);
    if (size_t dots = part.find("..."); dots != std::string::npos)
      part.replace(dots, 3, letters);
    return part;
  }

  bool readOperands() {
    size_t most = 0;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      std::optional<Value> tensor = call_.e.toTensor(call_.rest[i], call_.restRanges[i]);
      if (!tensor)
        return false;
      if (i > 0 && tensor->tensorType().getElementType() != typeOf(operands_[0].tensor).getElementType()) {
        call_.e.error(call_.restRanges[i], "einsum wants tensors of one dtype; this is " + describe(*tensor));
        return false;
      }
      if (tensor->tensorType().getElementType().isInteger(1)) {
        call_.e.error(call_.restRanges[i], "einsum wants numbers; this is " + describe(*tensor))
            .withHelp("convert it: x.to(f32)");
        return false;
      }
      size_t rank = static_cast<size_t>(tensor->rank()), named = inputs_[i].size();
      bool dots = inputs_[i].find("...") != std::string::npos;
      named -= dots ? 3 : 0;
      if (dots ? named > rank : named != rank) {
        call_.e.error(call_.restRanges[i], "einsum: '" + inputs_[i] + "' names " + std::to_string(named) +
                                               (named == 1 ? " axis" : " axes") + "; this is " + describe(*tensor));
        return false;
      }
      most = std::max(most, dots ? rank - named : 0);
      operands_.push_back({tensor->tensor, spelled(inputs_[i], dots ? rank - named : 0)});
      origins_.push_back(*tensor);
    }
    return checkExtents() && readResult(most);
  }

  static mlir::RankedTensorType typeOf(mlir::Value value) {
    return llvm::cast<mlir::RankedTensorType>(value.getType());
  }

  bool checkExtents() {
    for (size_t i = 0; i < operands_.size(); ++i)
      for (size_t axis = 0; axis < operands_[i].letters.size(); ++axis) {
        Dim dim = dimsOf(operands_[i].tensor)[axis];
        auto [known, isNew] = extents_.try_emplace(operands_[i].letters[axis], dim);
        if (isNew || known->second == dim || dim == Dim(1))
          continue;
        if (known->second == Dim(1)) {
          known->second = dim;
          continue;
        }
        Diagnostic &diagnostic =
            call_.e.error(call_.restRanges[i], std::string("einsum: '") + operands_[i].letters[axis] + "' is " +
                                                   known->second.str() + " before, and " + dim.str() + " here");
        call_.e.noteDim(diagnostic, dim, origins_[i].originOf(axis));
        return false;
      }
    return true;
  }

  bool readResult(size_t most) {
    if (!hasArrow_) { // letters that stand once, in their order
      std::string all;
      for (const Named &operand : operands_)
        all += operand.letters;
      std::string once;
      for (char letter : all)
        if (std::isalpha(static_cast<unsigned char>(letter)) && std::count(all.begin(), all.end(), letter) == 1)
          once += letter;
      std::sort(once.begin(), once.end());
      result_ = spelled("...", most) + once;
    } else {
      result_ = spelled(result_, most);
    }
    for (char letter : result_)
      if (!extents_.contains(letter) || std::count(result_.begin(), result_.end(), letter) > 1)
        return refuse(std::string("'") + letter + "' stands " +
                      (extents_.contains(letter) ? "twice in the result" : "in the result alone"));
    for (const auto &[letter, dim] : extents_)
      if (!std::isalpha(static_cast<unsigned char>(letter)) && result_.find(letter) == std::string::npos)
        return refuse("'...' stands in the result too");
    return true;
  }

  static bool holds(const std::string &letters, char letter) { return letters.find(letter) != std::string::npos; }

  /// Diagonals, where a letter stands twice.
  Named withoutTwice(Named x) {
    for (size_t a = 0; a < x.letters.size(); ++a)
      for (size_t b = x.letters.size() - 1; b > a; --b)
        if (x.letters[a] == x.letters[b])
          x = diagonal(x, a, b);
    return x;
  }

  /// Sums over the letters that are not among `needed`.
  Named summed(const Named &x, const std::string &needed) {
    std::vector<int64_t> gone;
    std::string left;
    for (size_t axis = 0; axis < x.letters.size(); ++axis) {
      if (holds(needed, x.letters[axis]))
        left += x.letters[axis];
      else
        gone.push_back(static_cast<int64_t>(axis));
    }
    return gone.empty() ? x : Named{emit_.reduceSum(x.tensor, gone), left};
  }

  /// Only the entries where both axes agree: all others times 0, summed over the second axis.
  Named diagonal(const Named &x, size_t a, size_t b) {
    llvm::SmallVector<Dim> dims = dimsOf(x.tensor);
    mlir::Type i32 = call_.e.builder().getI32Type();
    mlir::Value same = emit_.compare(Predicate::eq, emit_.iota(dims, static_cast<int64_t>(a), i32),
                                     emit_.iota(dims, static_cast<int64_t>(b), i32));
    mlir::Value kept = emit_.select(same, x.tensor, emit_.splatLike(x.tensor, 0));
    std::string letters = x.letters;
    letters.erase(b, 1);
    return {emit_.reduceSum(kept, {static_cast<int64_t>(b)}), letters};
  }

  /// Axes of extent 1 that stand for a longer one in the other operand are taken away.
  Named withoutOnes(Named x, const Named &other) {
    llvm::SmallVector<Dim> dims = dimsOf(x.tensor), others = dimsOf(other.tensor), left;
    std::string letters;
    for (size_t axis = 0; axis < dims.size(); ++axis) {
      size_t there = other.letters.find(x.letters[axis]);
      if (dims[axis] == Dim(1) && there != std::string::npos && others[there] != Dim(1))
        continue;
      left.push_back(dims[axis]);
      letters += x.letters[axis];
    }
    return {emit_.reshapeTo(x.tensor, left), letters};
  }

  /// `later`: the letters that are still spoken of.
  Named product(const Named &a, const Named &b, const std::string &later) {
    Named left = withoutOnes(a, b), right = withoutOnes(b, a);
    left = summed(left, later + right.letters);
    right = summed(right, later + left.letters);
    DotAxes axes;
    std::string letters, rest;
    for (size_t i = 0; i < left.letters.size(); ++i) {
      char letter = left.letters[i];
      size_t there = right.letters.find(letter);
      if (there == std::string::npos) {
        rest += letter;
        continue;
      }
      bool kept = holds(later, letter);
      (kept ? axes.lhsBatch : axes.lhsContract).push_back(static_cast<int64_t>(i));
      (kept ? axes.rhsBatch : axes.rhsContract).push_back(static_cast<int64_t>(there));
      if (kept)
        letters += letter;
    }
    for (char letter : right.letters)
      if (!holds(left.letters, letter))
        rest += letter;
    return {emit_.dot(left.tensor, right.tensor, axes), letters + rest};
  }

  BoundCall &call_;
  Emit emit_;
  std::vector<std::string> inputs_;
  std::string result_;
  bool hasArrow_ = false;
  std::vector<Named> operands_;
  std::vector<Value> origins_;
  std::map<char, Dim> extents_;
};
} // namespace

Value einsum(BoundCall &call) { return Einsum(call).run(); }

} // namespace kiln::language
