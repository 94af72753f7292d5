// Writes the table of ops (backends/sdk/Ops.inc) from the dialect's definitions.
//
// First the classes and costs that there are, then each op's. For those that a kernel may hold a second line says all
// about it: KILN_OP(code, name, class, cost, primitive, elements, ulps, operands, results, attributes). The last
// three are words with a space between them:
//   operands, results   dtype[:scalar][*|?]  a tensor's dtype as the op's `dtypes` has it; * any number, ? none or one
//   attributes          name:kind[?]         kind is int, bool, number, text, bytes, ints, extents, or the choice
//   a|b|c;
//                                            ? where it may be missing
// Those that are a formula have a third line, KILN_FUNCTION(code, name, real) or, of integers as well,
// KILN_NUMBER_FUNCTION(code, name, real, whole), of two elements KILN_BINARY(code, real, whole), where a kind of
// numbers that the op does not take has 0. KILN_ONNX(name, onnx, opset): ONNX's op that is the same.
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/TableGen/Error.h"
#include "llvm/TableGen/Main.h"
#include "llvm/TableGen/Record.h"

using llvm::Record;
using llvm::StringRef;

namespace {

/// The words of one side of `dtypes`, one for each operand or result.
llvm::SmallVector<StringRef> dtypeWords(StringRef side) {
  llvm::SmallVector<StringRef> words;
  side.split(words, ',', /*MaxSplit=*/-1, /*KeepEmpty=*/false);
  for (StringRef &word : words)
    word = word.trim();
  llvm::erase_if(words, [](StringRef word) { return word.empty(); });
  return words;
}

/// The records of a dag (ins ...) or (outs ...).
llvm::SmallVector<const Record *> members(const Record &op, StringRef field) {
  llvm::SmallVector<const Record *> result;
  for (const llvm::Init *init : op.getValueAsDag(field)->getArgs())
    result.push_back(llvm::cast<llvm::DefInit>(init)->getDef());
  return result;
}

std::string tensors(const Record &op, StringRef field, StringRef dtypes) {
  llvm::SmallVector<StringRef> words = dtypeWords(dtypes);
  llvm::SmallVector<std::string> result;
  for (const Record *member : members(op, field)) {
    if (!member->isSubClassOf("TypeConstraint"))
      continue;
    std::string suffix = member->isSubClassOf("Variadic") ? "*" : member->isSubClassOf("Optional") ? "?" : "";
    if (!suffix.empty())
      member = member->getValueAsDef("baseType");
    if (result.size() == words.size())
      llvm::PrintFatalError(&op, "`dtypes` has too few words for " + field);
    result.push_back(words[result.size()].str() + (member->getName() == "Kiln_Scalar" ? ":scalar" : "") + suffix);
  }
  if (result.size() != words.size())
    llvm::PrintFatalError(&op, "`dtypes` has too many words for " + field);
  return llvm::join(result, " ");
}

std::string attributeKind(const Record &op, const Record &attribute) {
  if (attribute.isSubClassOf("EnumAttr")) {
    llvm::SmallVector<StringRef> cases;
    for (const Record *one : attribute.getValueAsDef("enum")->getValueAsListOfDefs("enumerants"))
      cases.push_back(one->getValueAsString("str"));
    return llvm::join(cases, "|");
  }
  static constexpr std::pair<StringRef, StringRef> kinds[] = {
      {"I64Attr", "int"},        {"BoolAttr", "bool"},          {"F64Attr", "number"},       {"StrAttr", "text"},
      {"ElementsAttr", "bytes"}, {"DenseI64ArrayAttr", "ints"}, {"Kiln_DimsAttr", "extents"}};
  for (auto [name, kind] : kinds)
    if (attribute.getName() == name)
      return kind.str();
  llvm::PrintFatalError(&op, "kernels carry no attribute of kind " + attribute.getName());
}

std::string attributes(const Record &op) {
  llvm::SmallVector<std::string> result;
  const llvm::DagInit *arguments = op.getValueAsDag("arguments");
  for (auto [member, name] : llvm::zip(members(op, "arguments"), arguments->getArgNames())) {
    if (!member->isSubClassOf("Attr"))
      continue;
    bool missing = member->isSubClassOf("DefaultValuedAttr") || member->isSubClassOf("OptionalAttr");
    const Record &kind = missing ? *member->getValueAsDef("baseAttr") : *member;
    result.push_back((name->getValue() + ":" + attributeKind(op, kind) + (missing ? "?" : "")).str());
  }
  return llvm::join(result, " ");
}

/// In the order of the definitions.
std::vector<Record *> inOrder(const llvm::RecordKeeper &records, StringRef of) {
  std::vector<Record *> result = records.getAllDerivedDefinitions(of);
  llvm::sort(result, [](const Record *a, const Record *b) { return a->getID() < b->getID(); });
  return result;
}

void writeFormula(llvm::raw_ostream &out, const Record &op, StringRef code) {
  StringRef real = op.getValueAsString("real"), whole = op.getValueAsString("whole");
  if (real.empty() && whole.empty())
    return;
  if (op.isSubClassOf("Kiln_Binary"))
    out << "KILN_BINARY(" << code << ", " << (real.empty() ? "0" : real) << ", " << (whole.empty() ? "0" : whole);
  else
    out << (whole.empty() ? "KILN_FUNCTION(" : "KILN_NUMBER_FUNCTION(") << code << ", \""
        << op.getValueAsString("opName") << "\", " << real << (whole.empty() ? "" : ", ") << whole;
  out << ")\n";
}

void writeOp(llvm::raw_ostream &out, const Record &op) {
  StringRef code = op.getName(), opClass = op.getValueAsDef("opClass")->getValueAsString("name");
  if (!code.consume_front("Kiln_") || !code.consume_back("Op"))
    llvm::PrintFatalError(&op, "an op's definition is named Kiln_<code>Op");
  out << "KILN_OP_CLASSES(" << code << ", " << opClass << ", " << op.getValueAsDef("cost")->getValueAsString("name")
      << ")\n";
  if (opClass == "Control" || opClass == "Structure") // what stands around kernels
    return;
  auto [operands, results] = op.getValueAsString("dtypes").split("->");
  std::string elements = op.getValueAsDef("elements")->getValueAsString("name").str();
  elements[0] = llvm::toUpper(elements[0]);
  out << "KILN_OP(" << code << ", \"" << op.getValueAsString("opName") << "\", " << opClass << ", "
      << op.getValueAsDef("cost")->getValueAsString("name") << ", "
      << (op.getValueAsBit("primitive") ? "true" : "false") << ", " << elements << ", " << op.getValueAsString("ulps")
      << ", \"" << tensors(op, "arguments", operands) << "\", \"" << tensors(op, "results", results) << "\", \""
      << attributes(op) << "\")\n";
  writeFormula(out, op, code);
  if (StringRef onnx = op.getValueAsString("onnx"); !onnx.empty())
    out << "KILN_ONNX(\"" << op.getValueAsString("opName") << "\", \"" << onnx << "\", " << op.getValueAsInt("opset")
        << ")\n";
}

bool writeTable(llvm::raw_ostream &out, llvm::RecordKeeper &records) {
  static constexpr StringRef rows[] = {
      "KILN_CLASS(name)",
      "KILN_COST(name)",
      "KILN_OP_CLASSES(code, class, cost)",
      "KILN_OP(code, name, class, cost, primitive, elements, ulps, operands, results, attributes)",
      "KILN_FUNCTION(code, name, real)",
      "KILN_NUMBER_FUNCTION(code, name, real, whole)",
      "KILN_BINARY(code, real, whole)",
      "KILN_ONNX(name, onnx, opset)"};
  out << "// The ops, from ir/*.td by ir/tablegen/OpTable.cpp, which says what the columns are. An includer defines "
         "those rows "
         "that it wants.\n";
  for (StringRef row : rows)
    out << "#ifndef " << row.split('(').first << "\n#define " << row << "\n#endif\n";
  for (const Record *one : inOrder(records, "Kiln_Class"))
    out << "KILN_CLASS(" << one->getValueAsString("name") << ") // " << one->getValueAsString("words") << "\n";
  for (const Record *one : inOrder(records, "Kiln_Cost"))
    out << "KILN_COST(" << one->getValueAsString("name") << ") // " << one->getValueAsString("words") << "\n";
  for (const Record *op : inOrder(records, "Kiln_Op"))
    writeOp(out, *op);
  for (StringRef row : rows)
    out << "#undef " << row.split('(').first << "\n";
  return false;
}

} // namespace

int main(int argc, char **argv) {
  llvm::cl::ParseCommandLineOptions(argc, argv, "the table of ops, from the dialect's definitions");
  return llvm::TableGenMain(argv[0], &writeTable);
}
