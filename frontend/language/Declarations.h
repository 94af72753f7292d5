// What names stand for at the top level of files. A file knows what it declares, what it takes from other files, and
// the library; what else those files declare is known in them alone.
#pragma once

#include "frontend/language/Ast.h"

#include <functional>
#include <map>
#include <string_view>

namespace kiln::language {

class Declarations {
public:
  /// A name in a file: its declaration, or what it is called in the file that it is taken from.
  struct Declared {
    const Stmt *statement = nullptr; // of an imported name: the import
    Range range;                     // of the name
    std::string from;                // of an imported one: its name there
  };
  using Names = std::map<std::string, Declared, std::less<>>;

  /// Makes known what statements of a file declare. The file that is declared last is the model's own.
  void declare(const SourceFile &file, const std::vector<const Stmt *> &statements, Diagnostics &diagnostics);
  /// Says which imported names are declared nowhere; after all files were declared. `isKnown`: without an import.
  void checkImports(Diagnostics &diagnostics, const std::function<bool(const std::string &)> &isKnown) const;

  /// The declaration that a name stands for in a file; null where there is none. A file that was not declared (a piece
  /// of text by itself) knows what the model's own does.
  const Stmt *find(std::string_view name, const SourceFile *file) const;
  /// The names that a file knows by its own declarations and imports.
  const Names &namesIn(const SourceFile *file) const;
  /// Calls `visit` with each declaration of each file.
  void each(const std::function<void(const Stmt &)> &visit) const;
  /// The models among them, by the names that the file has for them.
  std::vector<std::pair<std::string, const Stmt *>> modelsIn(const SourceFile *file) const;
  const SourceFile *own() const { return own_; }
  /// Where a name of the file is taken from, and what it is called there; false where the file declares it itself, or
  /// does not know it. For who follows a name through the files that hand it on.
  bool follow(std::string &name, const SourceFile *&file) const;

private:
  std::map<const SourceFile *, Names> files_;
  const SourceFile *own_ = nullptr;
};

} // namespace kiln::language
