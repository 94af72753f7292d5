// Files are read one after the other, so that no chain of imports is too deep, and a circle ends.
#include "frontend/language/Imports.h"

#include "frontend/language/Declarations.h"
#include "frontend/language/Parser.h"
#include "runtime/support/Utf8.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

namespace kiln::language {

namespace fs = std::filesystem;

std::optional<std::string> readText(const std::string &path, std::string &why) {
  std::error_code error;
  if (fs::exists(path, error) && !fs::is_regular_file(path, error)) {
    why = "it is no file";
    return std::nullopt;
  }
  errno = 0;
  std::ifstream stream(path, std::ios::binary);
  std::stringstream text;
  if (stream && (text << stream.rdbuf() || stream.eof()))
    return text.str();
  why = errno ? std::strerror(errno) : "it cannot be read";
  return std::nullopt;
}

/// Two names of one file give the same.
static std::string identity(const std::string &path) {
  std::error_code error;
  fs::path whole = fs::weakly_canonical(path, error);
  return error ? fs::path(path).lexically_normal().string() : whole.string();
}

namespace {
class Imports {
public:
  explicit Imports(Diagnostics &diagnostics) : diagnostics_(diagnostics) {}

  std::vector<std::unique_ptr<File>> read(std::unique_ptr<SourceFile> own) {
    seen_[identity(own->name())] = own.get();
    files_.push_back(parse(std::move(own), diagnostics_));
    for (size_t i = 0; i < files_.size(); ++i) // it grows
      for (size_t j = 0; j < files_[i]->statements.size(); ++j)
        if (Stmt &statement = *files_[i]->statements[j]; statement.kind == StmtKind::Import)
          statement.file = follow(statement);
    std::rotate(files_.begin(), files_.begin() + 1, files_.end());
    return std::move(files_);
  }

private:
  const SourceFile *follow(const Stmt &statement) {
    const Expr &written = *statement.value;
    fs::path folder = fs::path(statement.range.file->name()).parent_path();
    std::string path = (folder / written.text).lexically_normal().string();
    if (!written.text.ends_with(".kiln")) {
      diagnostics_.error(written.range, "declarations come from .kiln files; this is '" + written.text + "'")
          .withHelp("of a model from elsewhere, `kiln import FILE -o NAME.kiln` writes one");
      return nullptr;
    }
    auto [known, isNew] = seen_.try_emplace(identity(path), nullptr);
    if (!isNew)
      return known->second;
    std::string why;
    std::optional<std::string> text = readText(path, why);
    if (!text) {
      diagnostics_.error(written.range, "cannot read '" + path + "': " + why)
          .withHelp("the path is relative to the folder of the file that it stands in");
      return nullptr;
    }
    if (text->starts_with(byteOrderMark))
      text->erase(0, byteOrderMark.size());
    auto source = std::make_unique<SourceFile>(path, std::move(*text), SourceFile::Role::Imported);
    known->second = source.get();
    files_.push_back(parse(std::move(source), diagnostics_));
    return known->second;
  }

  Diagnostics &diagnostics_;
  std::vector<std::unique_ptr<File>> files_;
  std::map<std::string, const SourceFile *> seen_; // by identity; null where it could not be read
};
} // namespace

std::vector<std::unique_ptr<File>> parseWithImports(std::unique_ptr<SourceFile> own, Diagnostics &diagnostics) {
  return Imports(diagnostics).read(std::move(own));
}

/// Of a tokenizer constant, the file that it names.
static std::string tokenizerOf(const std::vector<std::unique_ptr<File>> &files, Diagnostics &diagnostics) {
  Declarations declarations;
  for (const std::unique_ptr<File> &file : files) {
    std::vector<const Stmt *> named;
    for (const StmtPtr &statement : file->statements)
      if (statement->kind == StmtKind::Import || statement->kind == StmtKind::Module ||
          (statement->kind == StmtKind::Assign && statement->target->kind == ExprKind::Name))
        named.push_back(statement.get());
    declarations.declare(*file->source, named, diagnostics);
  }
  std::vector<const SourceFile *> asked = {declarations.own()}; // then the files of the models that it takes
  for (const auto &[name, model] : declarations.modelsIn(declarations.own()))
    asked.push_back(model->range.file);
  for (const SourceFile *file : asked)
    if (const Stmt *constant = declarations.find("tokenizer", file); constant && constant->kind == StmtKind::Assign &&
                                                                     constant->value->kind == ExprKind::String &&
                                                                     constant->value->text.ends_with(".json"))
      return (fs::path(constant->range.file->name()).parent_path() / constant->value->text).lexically_normal().string();
  return "";
}

FilesBeside filesBeside(const std::string &path) {
  std::string why;
  std::optional<std::string> text = readText(path, why);
  if (!text || (text->find("tokenizer") == std::string::npos && text->find("import") == std::string::npos))
    return {};
  Diagnostics diagnostics; // told when the model is loaded
  std::vector<std::unique_ptr<File>> files =
      parseWithImports(std::make_unique<SourceFile>(path, std::move(*text)), diagnostics);
  FilesBeside beside;
  for (const std::unique_ptr<File> &file : files)
    if (file->source->role() == SourceFile::Role::Imported)
      beside.imported.push_back(file->source->name());
  beside.tokenizer = tokenizerOf(files, diagnostics);
  return beside;
}

} // namespace kiln::language
