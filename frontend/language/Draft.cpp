// One model and one function, elaborated statement by statement.
#include "frontend/language/Draft.h"

#include "frontend/language/Elaborate.h"
#include "frontend/language/Load.h"
#include "frontend/language/Parser.h"

namespace kiln::language {

/// The file's one model and its first function, whose frame is kept open.
std::shared_ptr<Entry> Elaborator::beginDraft(Frame &frame) {
  modelDeclaration_ = models().empty() ? nullptr : models().front();
  if (!modelDeclaration_ || diagnostics_.hasErrors())
    return nullptr;
  module_ = mlir::ModuleOp::create(location(modelDeclaration_->nameRange), modelDeclaration_->name);
  model_ = instantiateModel(*modelDeclaration_, nullptr);
  const Stmt &function = *modelDeclaration_->body.front();
  std::vector<std::pair<std::string, TypeInfo>> inputs;
  std::shared_ptr<Entry> entry = model_ ? openEntry(function, false, inputs) : nullptr;
  if (!entry)
    return nullptr;
  entries_.push_back(entry);
  Arguments arguments;
  arguments.positional = inputValues(*entry, inputs);
  for (const Parameter &parameter : function.parameters)
    arguments.ranges.push_back(parameter.range);
  callFunction(function, model_, arguments, function.nameRange, nullptr, &frame);
  return entry;
}

/// Statements of the model's body that come after its functions: what they declare has names from then on.
void Elaborator::declareInDraft(const std::vector<StmtPtr> &body, Entry &entry) {
  Frame frame;
  frame.mode = Frame::Mode::Module;
  frame.self = model_;
  size_t known = model_->attributes.size();
  entry_ = nullptr;
  execute(body, frame);
  entry_ = &entry;
  for (size_t i = known; i < model_->attributes.size(); ++i) {
    std::vector<const Instance *> seen;
    namePaths(model_->attributes[i].second, model_->attributes[i].first, "", seen);
  }
}

struct Draft::Parts {
  mlir::MLIRContext context;
  LoadOptions options;
  Diagnostics diagnostics;
  std::vector<std::unique_ptr<File>> files; // what the elaborator's values point into
  std::optional<Elaborator> elaborator;
  std::shared_ptr<Entry> entry;
  Frame function;

  const File &keep(std::unique_ptr<File> file) { return *files.emplace_back(std::move(file)); }
  /// The first error since the last call, in one sentence.
  std::string takeError();
  const std::vector<StmtPtr> *parseOne(const std::string &statement);
};

std::string Draft::Parts::takeError() {
  std::string out;
  if (diagnostics.hasErrors()) {
    const Diagnostic *first = diagnostics.first();
    out = first->message;
    if (!first->help.empty())
      out += " (" + first->help + ")";
  }
  diagnostics.clear();
  if (entry)
    entry->failed = false;
  return out;
}

/// The statement as the body of a function; null after an error.
const std::vector<StmtPtr> *Draft::Parts::parseOne(const std::string &statement) {
  const File &file =
      keep(parse(std::make_unique<SourceFile>("draft", "def f():\n    " + statement + "\n"), diagnostics));
  if (diagnostics.hasErrors() || file.statements.size() != 1)
    return nullptr;
  return &file.statements[0]->body;
}

Draft::Draft(const std::string &arguments, const std::map<std::string, int64_t> &bounds)
    : parts_(std::make_unique<Parts>()) {
  Parts &p = *parts_;
  p.context.loadDialect<KilnDialect, mlir::func::FuncDialect>();
  p.options.bounds = bounds;
  p.elaborator.emplace(p.context, p.diagnostics, p.options);
  for (std::unique_ptr<File> &file : parseLibrary(p.diagnostics))
    p.elaborator->declare(p.keep(std::move(file)));
  std::string text = "model Draft():\n    def forward(" + arguments + "):\n        pass\n";
  p.elaborator->declare(p.keep(parse(std::make_unique<SourceFile>("draft", text), p.diagnostics)));
  p.entry = p.elaborator->beginDraft(p.function);
  failure_ = p.takeError();
}

Draft::~Draft() = default;

std::string Draft::declare(const std::string &statement) {
  Parts &p = *parts_;
  if (const std::vector<StmtPtr> *body = p.parseOne(statement))
    p.elaborator->declareInDraft(*body, *p.entry);
  return p.takeError();
}

std::string Draft::add(const std::string &statement) {
  Parts &p = *parts_;
  if (const std::vector<StmtPtr> *body = p.parseOne(statement))
    p.elaborator->execute(*body, p.function);
  return p.takeError();
}

std::optional<Draft::Type> Draft::typeOf(const std::string &name) const {
  const Value *value = nullptr;
  if (auto found = parts_->function.locals.find(name); found != parts_->function.locals.end())
    value = &found->second.value;
  else if (parts_->function.self)
    value = parts_->function.self->find(name);
  if (!value)
    return std::nullopt;
  if (value->kind == Value::Kind::Variable)
    return Type{language::dtypeName(value->variable->type.dtype), value->variable->type.dims};
  if (!value->isTensor())
    return std::nullopt;
  llvm::SmallVector<Dim> dims = dimsOf(value->tensor);
  return Type{language::dtypeName(dtypeOf(value->tensorType().getElementType())), {dims.begin(), dims.end()}};
}

bool Draft::isNonNegative(const Dim &dim) const { return parts_->elaborator->provablyNonNegative(dim); }

std::string Draft::problemOf(const std::string &text, const std::map<std::string, int64_t> &bounds) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  LoadOptions options;
  options.bounds = bounds;
  Diagnostics diagnostics;
  loadModelText(context, text, "text", options, diagnostics);
  return diagnostics.hasErrors() ? diagnostics.first()->message : "";
}

std::set<std::string> Draft::knownNames() {
  std::set<std::string> names = {"training", "inf",  "nan",   "pi",    "PAD",   "UNK",    "START",  "END",  "step",
                                 "seed",     "f32",  "f64",   "bf16",  "f16",   "i8",     "u8",     "i32",  "u32",
                                 "i64",      "bool", "int",   "float", "any",   "def",    "for",    "in",   "if",
                                 "elif",     "else", "while", "or",    "yield", "assert", "return", "pass", "and",
                                 "not",      "is",   "True",  "False", "None",  "model",  "module"};
  std::vector<std::string> builtins;
  builtinNames(builtins, /*generalOnly=*/false);
  for (const std::string &name : builtins)
    if (findBuiltin(name, Space::General)->space != Space::Reader) // which are known within a recipe's data alone
      names.insert(name);
  Diagnostics diagnostics;
  for (const std::unique_ptr<File> &file : parseLibrary(diagnostics))
    for (const StmtPtr &statement : file->statements)
      names.insert(statement->name);
  return names;
}

} // namespace kiln::language
